"""Throttle: a key with which no job is enqueued for a time."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue import dialects
from dbqueue.models.fields import Key, Moment


class ThrottleQuerySet(models.QuerySet["Throttle"]):
    def expired(self) -> "ThrottleQuerySet":
        """Return those whose period is over."""
        return self.filter(expires_at__lt=dialects.of(self.db).clock())


class Throttle(models.Model):
    """The latest job of a key, which is enqueued at most once in a period."""

    key = models.CharField(_("key"), primary_key=True, max_length=200)
    job_id = Key(_("job"))
    # When the period is over.
    expires_at = Moment(_("expires at"))

    objects = ThrottleQuerySet.as_manager()

    class Meta:
        verbose_name = _("throttle")
        verbose_name_plural = _("throttles")

    def __str__(self) -> str:
        return self.key
