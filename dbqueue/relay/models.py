"""Dispatch: a message that was published of a job, and has not started it yet."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue import dialects
from dbqueue.models.fields import Key, Moment

__all__ = ["Dispatch"]


class DispatchQuerySet(models.QuerySet["Dispatch"]):
    def overdue(self) -> "DispatchQuerySet":
        """Return those whose message counts as lost."""
        return self.filter(expires_at__lt=dialects.of(self.db).clock())


class Dispatch(models.Model):
    """The latest message of a job that waits. The start of the job ends it.

    No foreign key: the job leaves its table when it ends.
    """

    job_id = Key(_("job"), primary_key=True)
    queue_name = models.CharField(_("queue"), max_length=100)
    # Which message of the job it is, from 1; attempts are counted elsewhere.
    number = models.IntegerField(_("dispatch"), default=1)
    # What a message has to say so that it starts the job.
    token = Key(_("token"))
    # When the engine has confirmed it; and from when on it is published again.
    confirmed_at = Moment(_("confirmed at"), null=True)
    expires_at = Moment(_("expires at"))
    # Why the engine does not take it, if that is so.
    refusal = models.TextField(_("refusal"), default="")

    objects = DispatchQuerySet.as_manager()

    class Meta:
        verbose_name = _("dispatch")
        verbose_name_plural = _("dispatches")
        indexes = [
            models.Index(
                fields=["queue_name", "expires_at"], name="dbqueue_dispatch_overdue"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_id}.{self.number}"
