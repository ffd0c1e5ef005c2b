"""Jobs as `manage.py jobs` shows them: one whole, or many as lines of a table."""

import json
from collections.abc import Iterable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from dbqueue import status
from dbqueue.management.tables import moment, table
from dbqueue.models import Job, JobRecord, entries

_TITLES = (
    *("id", "state", "queue", "task", "attempts", "failures", "since", "exception"),
)
_MOMENTS = (
    *("enqueued_at", "run_after", "expires_at", "started_at", "last_attempted_at"),
    *("cancelled_at", "finished_at", "keep_until"),
)
_JSON = ("args", "kwargs", "context", "progress", "result")
_ENTRY = ("worker", "started_at", "ended_at", "by", "why", "exception", "message")


def listed(rows: Iterable[JobRecord]) -> list[str]:
    """Return the lines of a table of jobs."""
    cells = [
        (
            row.pk,
            row.state,
            row.queue_name,
            row.task,
            row.attempt,
            _failures(row),
            moment(getattr(row, "finished_at", None) or row.enqueued_at),
            getattr(row, "exception", None) or "",
        )
        for row in rows
    ]
    return table(_TITLES, cells, "No job matches.")


def shown(row: JobRecord) -> list[str]:
    """Return all that is known of a job as lines."""
    lines = [f"Job {row.pk}"]
    lines += [f"  {name}: {value}" for name, value in _facts(row).items()]
    if isinstance(row, Job) and (why := status.reason(row)):
        lines.append(f"  not running: {why}")
    for entry in entries(row.attempt_log):
        lines += _attempt(entry)
    return lines


def as_json(row: JobRecord) -> str:
    """Return all that is known of a job as one line of JSON."""
    known = {field.name: getattr(row, field.name) for field in row._meta.fields}
    if isinstance(row, Job):
        known["reason"] = status.reason(row)
    return json.dumps(known, cls=DjangoJSONEncoder)


def _failures(row: JobRecord) -> str:
    """Return how many attempts have failed; of how many, while some may be left."""
    if not row.failures or not isinstance(row, Job):
        return str(row.failures)
    return f"{row.failures} of {row.max_attempts}"


def _facts(row: JobRecord) -> dict[str, Any]:
    """Return what is to be said of each column that says something."""
    facts: dict[str, Any] = {}
    for field in row._meta.fields:
        value = getattr(row, field.name)
        if field.name in ("id", "attempt_log") or value is None or value == "":
            continue
        if field.name in _MOMENTS:
            value = moment(value)
        elif field.name in _JSON:
            value = json.dumps(value, ensure_ascii=False)
        facts[field.name] = value
    return facts


def _attempt(entry: dict[str, Any]) -> list[str]:
    lines = [f"  attempt {entry.get('attempt')}: {entry.get('reason')}"]
    lines += [f"    {name}: {entry[name]}" for name in _ENTRY if entry.get(name)]
    trace = str(entry.get("traceback") or "").rstrip()
    return lines + [f"    | {line}" for line in trace.splitlines()]
