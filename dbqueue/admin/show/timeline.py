"""The life of a job, step by step: what happened, when, and how long it took."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.translation import gettext as _

from dbqueue.admin import texts
from dbqueue.admin.listing.rows import wait_of
from dbqueue.admin.show.tracebacks import Part, parts
from dbqueue.dialects.columns import LOG_LENGTH
from dbqueue.models import FinishedJob, JobState, entries
from dbqueue.models.fields import FAR


@dataclass(slots=True)
class Step:
    """One step; `kind` colours it: good, bad, warning, active, or none."""

    title: str
    kind: str = ""
    when: Any = ""
    detail: list[Any] = field(default_factory=list)
    exception: str = ""
    message: str = ""
    traceback: list[Part] = field(default_factory=list)
    raw: str = ""
    others: list[tuple[str, str]] = field(default_factory=list)


def of(job: Any, names: Mapping[UUID, str], *, payload: bool) -> list[Step]:
    """Return the steps of a job; without `payload`, no messages and no tracebacks."""
    steps = [_enqueued(job)]
    due = job.run_after if job.run_after and _is_real(job.run_after) else None
    again = due is not None and job.started_at is not None and due > job.started_at
    if due is not None and due > job.enqueued_at and not again:
        steps.append(Step(_("Scheduled"), when=texts.moment(due)))
    log = entries(job.attempt_log)
    if len(log) >= LOG_LENGTH:
        steps.append(Step(_("Some attempts between are not on record"), "warning"))
    begun = len(steps)
    steps += [_attempt(entry, names, payload=payload) for entry in log]
    damaged = not isinstance(job.attempt_log, list) or len(log) < len(job.attempt_log)
    if damaged and payload:
        steps.append(Step(_("The log is damaged"), "bad", raw=str(job.attempt_log)))
    steps += _last(job, names)
    waited = wait_of(job, timezone.now()) if job.started_at else None
    if waited is not None and len(log) < LOG_LENGTH and steps[begun:]:
        words = format_html(_("waited {}"), texts.duration(waited))
        steps[begun].detail.insert(0, words)
    return steps


def _enqueued(job: Any) -> Step:
    detail = []
    context = job.context if isinstance(job.context, dict) else {}
    user = context.get("user") or context.get("user_id")
    if user:
        detail.append(_("by %s") % user)
    if context.get("request"):  # its method and route
        detail.append(_("at %s") % context["request"])
    if context.get("request_id"):
        detail.append(_("from request %s") % context["request_id"])
    return Step(_("Enqueued"), when=texts.moment(job.enqueued_at), detail=detail)


def _attempt(
    entry: dict[str, Any], names: Mapping[UUID, str], *, payload: bool
) -> Step:
    began, ended = (_moment(entry.get(key)) for key in ("started_at", "ended_at"))
    reason = str(entry.get("reason", ""))
    title = _("Attempt %s") % entry.get("attempt", "?")
    step = Step(f"{title}: {reason_in_words(reason)}", _kind(reason))
    step.when = texts.moment(began)
    if began and ended:
        step.detail.append(texts.duration((ended - began).total_seconds()))
    step.detail.append(_worker(entry.get("worker"), names))
    # Said by an operator, and not by the job.
    if entry.get("by"):
        step.detail.append(_("by %s") % entry["by"])
    if entry.get("why"):
        step.detail.append(f"“{entry['why']}”")
    step.exception = str(entry.get("exception", ""))
    if payload:
        step.message = str(entry.get("message", ""))
        if entry.get("traceback"):
            step.raw = str(entry["traceback"])
            step.traceback = parts(step.raw)
        known = {"attempt", "worker", "started_at", "ended_at", "reason"}
        known |= {"exception", "message", "traceback", "by", "why"}
        step.others = [(k, str(entry[k])) for k in sorted(entry.keys() - known)]
    return step


def reason_in_words(reason: str) -> str:
    """Return why an attempt ended, as a person says it."""
    words = {
        "failed": _("failed"),
        "timeout": _("ran past its timeout"),
        "lost": _("its worker was lost"),
        "released": _("was given back, which is no failure"),
        "snoozed": _("asked to be run again later"),
        "cancelled": _("was cancelled"),
        "expired": _("its deadline had passed"),
    }
    return words.get(reason, reason)


def _kind(reason: str) -> str:
    return "bad" if reason in ("failed", "timeout", "lost") else "warning"


def _last(job: Any, names: Mapping[UUID, str]) -> list[Step]:
    worker = _worker(job.worker_id, names)
    if job.state == JobState.RUNNING:
        step = Step(_("Attempt %s runs") % job.attempt, "active")
        step.when = texts.moment(job.last_attempted_at)
        if job.last_attempted_at:
            seconds = (timezone.now() - job.last_attempted_at).total_seconds()
            step.detail.append(texts.duration(seconds))
        step.detail.append(worker)
        return [step]
    if not isinstance(job, FinishedJob):
        return _waits(job)
    titles: dict[str, tuple[str, str]] = {
        JobState.SUCCESSFUL: (_("Attempt %s: successful") % job.attempt, "good"),
        JobState.FAILED: (_("Failed for good"), "bad"),
        JobState.CANCELLED: (_("Cancelled"), "warning"),
    }
    title, kind = titles.get(job.state, (job.state, ""))
    step = Step(title, kind, when=texts.moment(job.finished_at))
    if job.state == JobState.SUCCESSFUL:
        step.detail += [texts.duration(job.duration), worker]
    return [step]


def _waits(job: Any) -> list[Step]:
    words: dict[str, str] = {
        JobState.READY: _("Waits for a worker of %s") % job.queue_name,
        JobState.BLOCKED: _("Waits in the lane %s") % job.lane,
        JobState.PAUSED: _("Waits until its task is resumed"),
    }
    if job.state == JobState.SCHEDULED and job.attempt:
        return [Step(_("Due again"), "active", when=texts.moment(job.run_after))]
    return [Step(words[job.state], "active")] if job.state in words else []


def _worker(id: Any, names: Mapping[UUID, str]) -> str:
    if not id:
        return ""
    try:
        known = names.get(id if isinstance(id, UUID) else UUID(str(id)))
    except ValueError:
        known = None
    return _("on %s") % (known or str(id)[-8:])


def _moment(text: Any) -> datetime | None:
    try:
        return parse_datetime(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _is_real(moment: datetime) -> bool:
    return not f"{moment:%Y-%m-%d}".startswith(FAR[:10])
