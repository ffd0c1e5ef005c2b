"""Statistic: what the jobs of one task in one queue did in a minute or an hour."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue.dialects.statistics import ENDS, HOUR, KEY, MINUTE, RUNS, WAITS
from dbqueue.models.fields import Moment


class Statistic(models.Model):
    """Written by workers with their finishes; a hint for people, never asked by a move.

    Beside these it has a number for each bucket of `dialects.statistics`: how many jobs
    ran so long, and how many waited so long before their first attempt.
    """

    span = models.SmallIntegerField(
        _("span"), choices=[(MINUTE, _("a minute")), (HOUR, _("an hour"))]
    )
    at = Moment(_("from"))
    queue_name = models.CharField(_("queue"), max_length=100)
    task = models.CharField(_("task"), max_length=255)
    succeeded = models.IntegerField(_("succeeded"), default=0)
    failed = models.IntegerField(_("failed"), default=0)
    cancelled = models.IntegerField(_("cancelled"), default=0)
    retried = models.IntegerField(_("retried"), default=0)
    seconds = models.FloatField(_("seconds run"), default=0.0)

    class Meta:
        verbose_name = _("statistic")
        verbose_name_plural = _("statistics")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=list(KEY), name="dbqueue_statistic_key")
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.at:%Y-%m-%d %H:%M}"

    @property
    def ended(self) -> int:
        """Jobs that came to their end."""
        return sum(getattr(self, name) for name in ENDS[:3])


for name in (*RUNS, *WAITS):
    models.IntegerField(default=0).contribute_to_class(Statistic, name)
