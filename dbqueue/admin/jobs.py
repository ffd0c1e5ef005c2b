"""The lists of jobs: read-only, and fast at millions of rows."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from dbqueue.admin.base import RecordAdmin
from dbqueue.dialects.columns import ORDER
from dbqueue.models import FinishedJob, Job, JobRecord, JobState

_ENDED = ("finished_at", "duration")
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
        "attempt_log",
        ("enqueued_at", "run_after"),
        ("started_at", "last_attempted_at"),
        "worker_id",
    )

    @admin.display(description=_("failures"))
    def failed(self, job: JobRecord) -> str:
        return f"{job.failures} of {job.max_attempts}" if job.failures else ""


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
    fields: ClassVar[Any] = (*JobRecordAdmin.fields, _ENDED, "result")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        # The index is on (state, finished_at); without a state the key serves.
        return ("-finished_at",) if request.GET.get("state") else ("-id",)

    @admin.display(description=_("took"))
    def took(self, job: FinishedJob) -> str:
        return "" if job.duration is None else f"{job.duration:.3f} s"
