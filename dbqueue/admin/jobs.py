"""The lists of jobs: read-only, and fast at millions of rows."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from dbqueue.admin.base import RecordAdmin
from dbqueue.dialects.columns import ORDER
from dbqueue.models import FinishedJob, Job, JobRecord, JobState
from dbqueue.models.job import entries

_ENDED = ("finished_at", "took")
_ENTRY = (
    *("attempt", "worker", "started_at", "ended_at"),
    *("reason", "exception", "message"),
)
_SHOWN = ("task", "state", "queue_name")


class JobRecordAdmin(RecordAdmin):
    search_help_text = _("The whole id of a job")
    deferred: tuple[str, ...] = ("args", "kwargs", "context", "attempt_log", "progress")
    fields: ClassVar[Any] = (
        ("task", "state"),
        ("queue_name", "priority"),
        ("attempt", "failures", "max_attempts"),
        ("args", "kwargs"),
        ("context", "progress"),
        "attempts",
        ("enqueued_at", "run_after"),
        ("started_at", "last_attempted_at"),
        "worker_id",
    )

    readonly_fields: ClassVar[Any] = ("attempts",)

    @admin.display(description=_("attempts"))
    def attempts(self, job: JobRecord) -> str:
        log = job.attempt_log
        if not isinstance(log, list) or len(entries(log)) < len(log):
            return str(log)  # damaged by hand
        return format_html_join("", "<pre>{}</pre>", ((_as_text(e),) for e in log))

    @admin.display(description=_("failures"))
    def failed(self, job: JobRecord) -> str:
        return f"{job.failures} of {job.max_attempts}" if job.failures else ""


def _as_text(entry: dict[str, Any]) -> str:
    """Return an entry of an attempt log as lines, its traceback last."""
    # PostgreSQL keeps the keys in an order of its own.
    others = sorted(entry.keys() - {*_ENTRY, "traceback"})
    lines = [f"{key}: {entry[key]}" for key in (*_ENTRY, *others) if key in entry]
    traceback = entry.get("traceback")
    return "\n".join([*lines, "", str(traceback)] if traceback else lines)


@admin.register(Job)
class JobAdmin(JobRecordAdmin):
    states = (JobState.SCHEDULED, JobState.READY, JobState.RUNNING)
    list_display = (*_SHOWN, "priority", "failed", "enqueued_at", "run_after")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        # Each state has an index of its own, in the order in which its jobs move on.
        return {
            "READY": ("queue_name", *ORDER),
            "SCHEDULED": ("run_after",),
            "RUNNING": ("worker_id",),
        }.get(request.GET.get("state", ""), ("-id",))


@admin.register(FinishedJob)
class FinishedJobAdmin(JobRecordAdmin):
    deferred = (*JobRecordAdmin.deferred, "result")
    states = (JobState.SUCCESSFUL, JobState.FAILED, JobState.CANCELLED)
    list_display = (*_SHOWN, "failed", "enqueued_at", "finished_at", "took")
    readonly_fields: ClassVar[Any] = (*JobRecordAdmin.readonly_fields, "took")
    fields: ClassVar[Any] = (*JobRecordAdmin.fields, _ENDED, "result")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        # The index is on (state, finished_at); without a state the key serves.
        return ("-finished_at",) if request.GET.get("state") else ("-id",)

    @admin.display(description=_("took"))
    def took(self, job: FinishedJob) -> str:
        return "" if job.duration is None else f"{job.duration:.3f} s"
