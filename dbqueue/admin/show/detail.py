"""All that the page of one job says."""

from functools import cached_property
from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import TextField
from django.db.models.functions import Cast
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from dbqueue import status
from dbqueue.admin import site as pages
from dbqueue.admin import texts
from dbqueue.admin.listing import rows
from dbqueue.admin.listing.search import as_uuid
from dbqueue.admin.show import payloads, timeline
from dbqueue.models import FinishedJob, JobState, entries
from dbqueue.tasks.context import SCHEDULE
from dbqueue.tasks.results import progress_of

_TEXTS = ("args", "kwargs", "context")


class Detail:
    """What is shown of a job; without `payload`, nothing that it carries."""

    def __init__(self, site: AdminSite, job: Any, *, payload: bool) -> None:
        self._site = site
        self._job = job
        self._alias = str(job._state.db)
        self.payload = payload
        self.is_over = isinstance(job, FinishedJob)
        # Read as it is, and once: each column that was left out is a query of its own.
        names = ["attempt_log", "context", "progress", "unique_key"]
        job.refresh_from_db(fields=[*names, *(["args"] if payload else [])])

    @property
    def title(self) -> str:
        return texts.class_name(self._job.task)

    @property
    def module(self) -> str:
        return str(self._job.task).rpartition(".")[0]

    @cached_property
    def reason(self) -> str:
        """Why it is not running, in one sentence."""
        return "" if self.is_over else status.reason(self._job)

    @cached_property
    def steps(self) -> list[timeline.Step]:
        ids = {self._job.worker_id}
        log = entries(self._job.attempt_log)
        ids |= {as_uuid(str(entry.get("worker", ""))) for entry in log}
        names = rows.worker_names(self._alias, ids)
        return timeline.of(self._job, names, payload=self.payload)

    @cached_property
    def _texts(self) -> dict[str, str]:
        columns = (*_TEXTS, "result") if self.is_over else _TEXTS
        casts = {f"{name}_text": Cast(name, TextField()) for name in columns}
        found = type(self._job)._default_manager.using(self._alias)
        row = found.filter(pk=self._job.pk).values(**casts).first() or {}
        return {name: row.get(f"{name}_text") or "" for name in columns}

    @property
    def arguments(self) -> list[tuple[str, str]]:
        found = self._texts
        return payloads.arguments(self._job.task, found["args"], found["kwargs"])

    @property
    def result(self) -> str:
        successful = self._job.state == JobState.SUCCESSFUL
        return payloads.pretty(self._texts["result"]) if successful else ""

    @property
    def context(self) -> str:
        return payloads.pretty(self._texts["context"]) if self._job.context else ""

    @property
    def progress(self) -> dict[str, Any] | None:
        stored = self._job.progress
        found = progress_of(stored) if isinstance(stored, dict) else None
        if found is None:
            return None
        percent = rows.percent(found.value, found.total)
        return {"percent": percent, "message": found.message if self.payload else ""}

    @property
    def facts(self) -> list[tuple[Any, Any]]:
        """Return what is known of it beside its life."""
        job = self._job
        found = [
            (_("Queue"), job.queue_name),
            (capfirst(_("schedule")), self._schedule),
            (_("Priority"), job.priority),
            (_("Attempts"), job.attempt),
            (_("Failures"), self._failures),
            (_("Lane"), job.lane),
            (_("Fair group"), job.fair_group),
            (_("Unique key"), getattr(job, "unique_key", None)),
            (_("Deadline"), texts.moment(getattr(job, "expires_at", None))),
            (_("Asked to stop"), texts.moment(getattr(job, "cancelled_at", None))),
            (_("Asked to stop by"), getattr(job, "cancelled_by", None)),
            (_("Reason"), getattr(job, "cancel_reason", None)),
            (_("Kept until"), texts.moment(getattr(job, "keep_until", None))),
            (_("Backend"), job.backend),
        ]
        return [(name, value) for name, value in found if value not in (None, "")]

    @property
    def _failures(self) -> str:
        job = self._job
        most = "" if self.is_over else f" / {job.max_attempts}"
        return f"{job.failures}{most}"

    @property
    def _schedule(self) -> str:
        """The name of the schedule that fired it."""
        context = self._job.context
        told = context.get(SCHEDULE) if isinstance(context, dict) else None
        return str(told.get("name", "")) if isinstance(told, dict) else ""

    @property
    def origin_url(self) -> str:
        """The page of the job that this one repeats."""
        if self._job.retry_of is None:
            return ""
        return pages.link(self._site, "dbqueue_finishedjob_change", self._job.retry_of)
