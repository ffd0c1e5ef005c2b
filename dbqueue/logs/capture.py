"""Log records on their way: those of jobs whose task asks for it are kept.

A job's lines are told apart by the context in which they are written. Without a task
that asks, nothing of this is there.
"""

import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.logs.lines import Lines
from dbqueue.tasks import context, payload

Key = tuple[UUID, int]  # a job and its attempt

MOST_KEPT = 1_000  # attempts whose lines are in memory, and those of jobs that ended
MOST_CHARACTERS = 8_000_000

# The level from which on the lines of a task are kept, by its paths.
levels: dict[str, int] = {}
# By attempt, the oldest first. Those of one that ended stay for a while: its commit may
# fail, and is then made again.
kept: dict[Key, Lines] = {}
# What dbqueue and the tasks framework say of a job, its page says anyway.
_OURS = ("dbqueue", "django.tasks", "django_tasks")
_formatter = logging.Formatter()


def begin() -> None:
    """Look at each record that is made in this process from now on."""
    make = logging.getLogRecordFactory()
    if getattr(make, "is_dbqueues", False):
        return

    def make_and_keep(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        job = context.running.get(None)
        if job is not None and job.task in levels:
            _keep(job, record)
        return record

    setattr(make_and_keep, "is_dbqueues", True)  # noqa: B010  not of its type
    # Not a handler: one of the root logger would keep basicConfig() from its work, and
    # a logger that does not propagate would not reach it.
    logging.setLogRecordFactory(make_and_keep)


def new() -> Iterator[tuple[Key, Lines]]:
    """Yield the attempts that have logged something since they were written."""
    for key in list(kept):
        lines = kept.get(key)
        if lines is not None and lines.is_new:
            yield key, lines


def _keep(job: ClaimedJob, record: logging.LogRecord) -> None:
    level: Any = record.levelno  # None from makeLogRecord()
    if level is None or level < levels[job.task] or _is_ours(record.name):
        return
    try:
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text = f"{text}\n{_formatter.formatException(record.exc_info)}"
    except Exception as error:  # arguments that do not fit, or whose __str__ raises
        text = f"{record.msg!r:.500} cannot be formatted: {error!r:.500}"
    lines = kept.get((job.id, job.attempt))
    if lines is None:
        _make_room()
        lines = kept.setdefault((job.id, job.attempt), Lines())
    lines.add(record.created, record.levelname, record.name, payload.printable(text))


def _is_ours(name: str) -> bool:
    return name in _OURS or name.startswith("dbqueue.")


def _make_room() -> None:
    """Forget the oldest, those first that are written."""
    if len(kept) < MOST_KEPT // 2:
        return
    found = list(kept.items())
    total = sum(lines.length for _, lines in found)
    for key, lines in sorted(found, key=lambda pair: pair[1].is_new):
        if len(kept) < MOST_KEPT and total <= MOST_CHARACTERS:
            return
        kept.pop(key, None)
        total -= lines.length
