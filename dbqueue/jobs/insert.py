"""From a call of a task to its row, in the caller's transaction."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

from django.db import DatabaseError, transaction

from dbqueue import dialects
from dbqueue.dialects.columns import NewJob
from dbqueue.dialects.rows import Calls, Written
from dbqueue.exceptions import InvalidPayload, MigrationsNotApplied, WrongArguments
from dbqueue.ids import hex7s, uuid7
from dbqueue.tasks import context, payload
from dbqueue.tasks.framework import InvalidTask
from dbqueue.tasks.task import Task

Encode = Callable[[Any, Mapping[str, Any]], payload.Call]

# Jobs in one INSERT of enqueue_many, and characters of their JSON: a longer list takes
# several, in one transaction.
CHUNK = 10_000
CHUNK_SIZE = 16 * 1024 * 1024


def new_job(alias: str, task: Task[..., Any], call: payload.Call) -> NewJob:
    """Return the job of a call; `alias` is the backend's in TASKS."""
    after = task.run_after
    return NewJob(
        id=task.job_id or uuid7(),
        task=task.module_path,
        queue_name=task.queue_name,
        priority=int(task.priority),
        backend=alias,
        max_attempts=task.attempts_allowed,
        args=call.args_text,
        kwargs=call.kwargs_text,
        context=context.dumped() if context.bound.get(None) else "{}",
        run_after=after if isinstance(after, datetime) else None,
        delay=after.total_seconds() if isinstance(after, timedelta) else None,
    )


def as_call(encode: Encode, item: Any, position: int) -> payload.Call:
    """Return an item of enqueue_many() as a call.

    Raises InvalidTask, and what `encode` raises, with the position in its message.
    """
    try:
        if isinstance(item, list | tuple):
            return encode(item, {})
        if isinstance(item, Mapping):
            return encode((), item)
    except (InvalidPayload, WrongArguments) as error:
        raise type(error)(f"Call {position}: {error}") from error
    raise InvalidTask(
        f"Call {position} is {item!r}; it must be a tuple of positional arguments or a "
        "dict of keyword arguments."
    )


def as_calls(encode: Encode, items: Iterable[Any]) -> Calls:
    """Return the calls as they are written, under new ids.

    `encode` makes a Call of (args, kwargs). Raises InvalidTask, and what it raises.
    """
    args: list[str] = []
    kwargs: list[str] = []
    for position, item in enumerate(items, 1):
        call = as_call(encode, item, position)
        args.append(call.args_text)
        kwargs.append(call.kwargs_text)
    return Calls(hex7s(len(args)), args, kwargs)


def insert(database: str, job: NewJob, *, once: bool = False) -> Written | None:
    """Write a job; with `once` its id may exist, finished or not: then return None."""
    with migrated(database):
        return dialects.of(database).insert(job, once=once)


def insert_many(database: str, job: NewJob, calls: Calls) -> list[Written]:
    """Write a job for each call; return the answer to each chunk of starts()."""
    first = starts(calls)
    with migrated(database), _together(database, several=len(first) > 1):
        return [
            dialects.of(database).insert_many(job, calls.part(start, end))
            for start, end in zip_longest(first, first[1:])
        ]


def starts(calls: Calls) -> list[int]:
    """Return where the chunks of the calls begin."""
    return calls.chunks(CHUNK, CHUNK_SIZE)


def _together(database: str, *, several: bool) -> AbstractContextManager[Any]:
    return transaction.atomic(using=database) if several else nullcontext()


@contextmanager
def migrated(database: str) -> Iterator[None]:
    """Raise MigrationsNotApplied where a table is missing."""
    try:
        yield
    except DatabaseError as error:
        if not dialects.of(database).is_missing_table(error):
            raise
        raise MigrationsNotApplied(
            f"The tables of dbqueue are not in database {database!r}. "
            f"Run: manage.py migrate --database {database}"
        ) from error
