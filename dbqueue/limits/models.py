"""The tables of limits: the rule of each name, and what is known of each lane."""

from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue.models.fields import Moment

__all__ = ["Lane", "LimitRule"]


class LimitRule(models.Model):
    """What the code declares of a limit, and beside it what an operator has set."""

    name = models.CharField(_("name"), primary_key=True, max_length=100)
    concurrency = models.IntegerField(_("concurrency"), null=True)
    rate = models.IntegerField(_("rate"), null=True)
    per = models.FloatField(_("per seconds"), null=True)
    burst = models.IntegerField(_("burst"), null=True)
    is_ordered = models.BooleanField(_("ordered"), default=False)
    is_fair = models.BooleanField(_("fair"), default=False)
    # Whether the values count for the fair group as a whole, and not for each lane.
    of_group = models.BooleanField(_("of the group"), default=False)
    declared_at = Moment(_("declared at"))
    # Overrides; null is as declared.
    set_concurrency = models.IntegerField(_("concurrency, set"), null=True)
    set_rate = models.IntegerField(_("rate, set"), null=True)
    set_per = models.FloatField(_("per seconds, set"), null=True)
    set_burst = models.IntegerField(_("burst, set"), null=True)
    set_at = Moment(_("set at"), null=True)
    set_by = models.CharField(_("set by"), max_length=255, default="")

    class Meta:
        verbose_name = _("limit")
        verbose_name_plural = _("limits")

    def __str__(self) -> str:
        return self.name


class Lane(models.Model):
    """What the gate of a lane, or of a fair group, locks and remembers.

    Gates make it, and prune it when it has nothing more to tell.
    """

    # "limit:value"; of a fair group, the name of its limit.
    key = models.CharField(_("key"), primary_key=True, max_length=200)
    limit_name = models.CharField(_("limit"), max_length=100)
    # The ids of the jobs that it has let in, with commas; some may have ended since.
    held = models.TextField(_("held by"), default="")
    # Until when its rate is used up: seconds since the epoch, by the database's clock.
    spent_until = models.FloatField(_("spent until"), null=True)
    # Of a fair group: the lane that had the last turn.
    served = models.CharField(_("served"), max_length=200, default="")
    # How many jobs that lane has started in its turn.
    turn = models.IntegerField(_("turn"), default=0)
    # How many of its jobs are to be READY at once, and the ids of those that were when
    # it last let some in.
    size = models.IntegerField(_("window"), default=0)
    previous = models.TextField(_("before"), default="")
    # When it last let a job in, likewise.
    used_at = models.FloatField(_("used at"))
    # Overrides; null is as the limit says.
    concurrency = models.IntegerField(_("concurrency, set"), null=True)
    weight = models.IntegerField(_("weight, set"), null=True)

    class Meta:
        verbose_name = _("lane")
        verbose_name_plural = _("lanes")
        indexes = [
            models.Index(fields=["limit_name", "key"], name="dbqueue_lane_limit"),
        ]

    def __str__(self) -> str:
        return self.key

    def holders(self) -> list[UUID]:
        """Return the ids of `held`."""
        return [UUID(id) for id in self.held.split(",") if id]
