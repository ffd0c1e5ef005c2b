"""From a call of a task to its row, in the caller's transaction."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

from django.db import DatabaseError, transaction

from dbqueue import dialects
from dbqueue.dialects.columns import NewJob
from dbqueue.dialects.placing import KEY
from dbqueue.dialects.rows import Calls, Written
from dbqueue.exceptions import (
    InvalidKey,
    InvalidPayload,
    MigrationsNotApplied,
    WrongArguments,
)
from dbqueue.ids import hex7s, uuid7
from dbqueue.jobs.rules import rule_of
from dbqueue.tasks import context, payload
from dbqueue.tasks.framework import InvalidTask
from dbqueue.tasks.task import Task

Encode = Callable[[Any, Mapping[str, Any]], payload.Call]

# Jobs in one INSERT of enqueue_many, and characters of their JSON: a longer list takes
# several, in one transaction.
CHUNK = 10_000
CHUNK_SIZE = 16 * 1024 * 1024

# What wings give of columns that few jobs have, by the task's path: its lane, or a key
# that no two jobs have. Called with the task and the call, before anything is written.
Shape = Callable[[Task[..., Any], payload.Call], Mapping[str, Any]]
shapes: dict[str, list[Shape]] = {}


def new_job(alias: str, task: Task[..., Any], call: payload.Call) -> NewJob:
    """Return the job of a call; `alias` is the backend's in TASKS."""
    after, path = task.run_after, task.module_path
    return NewJob(
        id=task.job_id or uuid7(),
        task=path,
        queue_name=task.queue_name,
        priority=int(task.priority),
        backend=alias,
        max_attempts=task.attempts_allowed,
        args=call.args_text,
        kwargs=call.kwargs_text,
        context=context.dumped() if context.bound.get(None) else "{}",
        run_after=after if isinstance(after, datetime) else None,
        delay=after.total_seconds() if isinstance(after, timedelta) else None,
        more=shaped(task, call) if path in shapes or _is_special(task) else None,
        rule=None if task.unique is None else rule_of(task, task.unique),
    )


def shaped(task: Task[..., Any], call: payload.Call) -> dict[str, Any] | None:
    """Return the columns that wings give to a job; None if it is as any other."""
    columns = _expiry(task.expires)
    if call is payload.EMPTY:  # of many, whose columns are those of each call
        return columns or None
    columns |= of_call(task, call)
    return columns or None


def of_call(task: Task[..., Any], call: payload.Call) -> dict[str, Any]:
    """Return what is special to a call of the task, of its columns."""
    columns: dict[str, Any] = {}
    if task.unique is not None:
        columns[KEY] = task.unique.key_of(task, call.args, call.kwargs)
    for shape in shapes.get(task.module_path, ()):
        columns |= shape(task, call)
    return columns


def _is_special(task: Task[..., Any]) -> bool:
    return task.unique is not None or task.expires is not None


def _expiry(expires: Any) -> dict[str, Any]:
    if expires is None:
        return {}
    if isinstance(expires, datetime):
        return {"expires_at": expires}
    is_delta = isinstance(expires, timedelta)
    return {"expires_in": expires.total_seconds() if is_delta else float(expires)}


def as_call(encode: Encode, item: Any, position: int) -> payload.Call:
    """Return an item of enqueue_many() as a call.

    Raises InvalidTask, and what `encode` raises, with the position in its message.
    """
    try:
        if isinstance(item, (tuple, list)):
            return encode(item, {})
        if isinstance(item, Mapping):
            return encode((), item)
    except (InvalidKey, InvalidPayload, WrongArguments) as error:
        raise type(error)(f"Call {position}: {error}") from error
    raise InvalidTask(
        f"Call {position} is {item!r}; it must be a tuple of positional arguments or a "
        "dict of keyword arguments."
    )


def as_calls(task: Task[..., Any], encode: Encode, items: Iterable[Any]) -> Calls:
    """Return the calls of a task as they are written, under new ids.

    `encode` makes a Call of (args, kwargs). Raises InvalidTask, and what it raises.
    """
    args: list[str] = []
    kwargs: list[str] = []
    more: list[Mapping[str, Any]] = []

    def encode_shaped(given: Any, named: Mapping[str, Any]) -> payload.Call:
        call = encode(given, named)
        more.append(of_call(task, call))
        return call

    is_shaped = task.module_path in shapes or task.unique is not None
    made = encode_shaped if is_shaped else encode
    for position, item in enumerate(items, 1):
        call = as_call(made, item, position)
        args.append(call.args_text)
        kwargs.append(call.kwargs_text)
    names = {name: None for columns in more for name in columns}
    columns = {name: [of_one.get(name) for of_one in more] for name in names}
    return Calls(hex7s(len(args)), args, kwargs, columns)


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
