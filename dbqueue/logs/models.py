"""JobLog: what one attempt of a job has logged."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["JobLog"]


class JobLog(models.Model):
    """The lines of one attempt; written while it runs, and with its end."""

    pk: Any = models.CompositePrimaryKey("job_id", "attempt")
    job_id = models.UUIDField(_("job"))
    attempt = models.IntegerField(_("attempt"))
    # A list of [seconds since the epoch, level, logger, message], as JSON.
    lines = models.TextField(_("lines"))
    # How many lines there were between the first and the last ones, which are kept.
    dropped = models.IntegerField(_("dropped"), default=0)

    class Meta:
        verbose_name = _("log of a job")
        verbose_name_plural = _("logs of jobs")

    def __str__(self) -> str:
        return f"{self.job_id} {self.attempt}"
