"""Pause: what is not to be started until somebody resumes it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue.models.fields import Moment


class Pause(models.Model):
    """While its row is there, nothing of what it names is started."""

    # What is paused, and its name: "queue:mail", "task:people.tasks.send", "limit:…"
    # or "lane:…".
    key = models.CharField(_("paused"), primary_key=True, max_length=310)
    paused_at = Moment(_("paused at"))
    paused_by = models.CharField(_("paused by"), max_length=255, default="")
    reason = models.TextField(_("reason"), default="")

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")

    def __str__(self) -> str:
        return self.key
