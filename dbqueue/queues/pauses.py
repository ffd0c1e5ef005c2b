"""Pauses: rows that say what is not to be started, who wanted that, when and why."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from django.db import IntegrityError, connections

from dbqueue import dialects
from dbqueue.conf import nearest
from dbqueue.dialects import hooks
from dbqueue.exceptions import NotPausable, TaskNotAllowed, TaskNotFound
from dbqueue.jobs import wakeup
from dbqueue.jobs.insert import migrated
from dbqueue.jobs.moves.choosing import storing_backend
from dbqueue.models import Job, Pause
from dbqueue.queues.parked import unpark
from dbqueue.tasks import options, payload
from dbqueue.tasks.framework import AnyTask, InvalidTask, task_backends
from dbqueue.tasks.framework import Task as DjangoTask
from dbqueue.tasks.moves import twin
from dbqueue.tasks.registry import resolve

logger = logging.getLogger(__name__)

QUEUE, TASK, LIMIT, LANE = "queue", "task", "limit", "lane"
KINDS = (QUEUE, TASK, LIMIT, LANE)
BY_LENGTH = 255  # characters, what the column holds

# By kind, what raises DbqueueError for a name that is unknown in the database. A wing
# adds those that it has.
known_names: dict[str, Callable[[str, str], None]] = {}


def pause(
    what: AnyTask | str, *, reason: str = "", by: str = "", backend: str | None = None
) -> Pause:
    """Let nothing more be started of a queue, a task, a limit or a lane; return who
    paused it, when and why.

    `what` is a task; or the name of a queue; or one of "queue:…", "task:…", "limit:…"
    and "lane:…". `reason` and `by`, who wants it, are for others to read. Every worker
    obeys from the commit on, until resume(): what runs goes on, what waits stays as it
    is. Pausing again changes nothing. `backend` is an alias in TASKS, default the first
    that is dbqueue's. Raises NotPausable for what is unknown.
    """
    kind, name = kind_and_name(what)
    alias = storing_backend(backend).database
    with migrated(alias):
        _demand_known(alias, kind, name)
        return begin(alias, kind, name, reason=reason, by=by)[0]


def resume(what: AnyTask | str, *, backend: str | None = None) -> Pause | None:
    """Let it be started again; return its pause, None if there was none.

    What is due begins at once. `what` and `backend` are those of pause().
    """
    kind, name = kind_and_name(what)
    alias = storing_backend(backend).database
    with migrated(alias):
        return end(alias, kind, name)


def paused(*, backend: str | None = None) -> list[Pause]:
    """Return what is paused, by its kind and name."""
    alias = storing_backend(backend).database
    with migrated(alias):
        return list(Pause.objects.using(alias).order_by("key"))


def demand_known(what: AnyTask | str, *, backend: str | None = None) -> None:
    """Raise NotPausable for what pause() would not take."""
    alias = storing_backend(backend).database
    with migrated(alias):
        _demand_known(alias, *kind_and_name(what))


apause = twin(pause)
aresume = twin(resume)
apaused = twin(paused)


def kind_and_name(what: Any) -> tuple[str, str]:
    """Return the two that make a pause's key. Raises NotPausable."""
    if isinstance(what, DjangoTask):
        return TASK, what.module_path
    if not isinstance(what, str) or not what:
        raise NotPausable(f"{what!r} is neither a task, nor the name of a queue.")
    kind, colon, name = what.partition(":")
    if not colon or kind not in KINDS:
        return QUEUE, what
    if not name:
        raise NotPausable(f"{what!r} names no {kind}.")
    return kind, name


def queue_names(alias: str) -> set[str]:
    """Return the queues of all backends in the database; empty means any."""
    names: set[str] = set()
    for backend in _backends(alias):
        if not backend.queues:
            return set()
        names |= backend.queues
    return names


def begin(
    alias: str, kind: str, name: str, *, reason: str = "", by: str = ""
) -> tuple[Pause, bool]:
    """Pause something in a database; return the pause, and whether it is new."""
    key = f"{kind}:{name}"
    rows, dialect = Pause.objects.using(alias).filter(pk=key), dialects.of(alias)
    new = False
    # If another is faster: theirs stands.
    with suppress(IntegrityError), dialect.one_commit():
        if not rows.exists():
            Pause.objects.using(alias).create(
                key=key,
                paused_at=dialect.clock(),
                paused_by=payload.printable(str(by))[:BY_LENGTH],
                reason=payload.printable(str(reason)),
            )
            for hook in hooks.after_pause:
                hook(alias, key)
            new = True
    if new:
        logger.info("Paused %s=%s by=%s reason=%s", kind, name, by, reason)
    return rows.get(), new


def end(alias: str, kind: str, name: str) -> Pause | None:
    """Resume something in a database; return its pause, None if there was none."""
    rows = Pause.objects.using(alias).filter(pk=f"{kind}:{name}")
    with dialects.of(alias).one_commit():
        before = rows.first()
        if before is None or not rows._raw_delete(alias):
            return None
        for hook in hooks.after_pause:
            hook(alias, before.key)
    logger.info("Resumed %s=%s", kind, name)
    if kind == QUEUE:
        _wake(alias, {name})
    elif kind == TASK:
        _wake(alias, unpark(alias, name))
    return before


def _demand_known(alias: str, kind: str, name: str) -> None:
    if kind == QUEUE:
        _demand_queue(alias, name)
    elif kind == TASK:
        _demand_task(alias, name)
    elif kind in known_names:
        known_names[kind](alias, name)


def _demand_queue(alias: str, name: str) -> None:
    if name == options.OPERATIONS:
        raise NotPausable(
            f"The queue {name!r} is for what operators ask of many jobs, and stays "
            "open. To stop such a job, cancel it: manage.py jobs cancel --queue "
            f"{name}. To run none of them on a host: manage.py runworker --exclude "
            f"{name}."
        )
    try:
        options.check_queue_name(name)
    except InvalidTask as error:
        raise NotPausable(f"{error} Pause each queue by its name.") from None
    known = queue_names(alias)
    if known and name not in known:
        raise NotPausable(
            f"No queue is called {name!r}.{nearest(name, known)} "
            f"TASKS has: {', '.join(sorted(known))}."
        )


def _demand_task(alias: str, path: str) -> None:
    try:
        task = resolve(path)
        if task.queue_name == options.OPERATIONS and path.startswith("dbqueue."):
            _demand_queue(alias, options.OPERATIONS)
    except (TaskNotAllowed, TaskNotFound) as error:
        # Its jobs may wait for a release that has it, or have outlived one.
        if not Job.objects.using(alias).filter(task=path).exists():
            raise NotPausable(
                f"There is no such task, nor a job of it: {error}"
            ) from None


def _backends(alias: str) -> Iterator[Any]:
    for name in task_backends.settings:
        backend: Any = task_backends[name]
        if getattr(backend, "stores_jobs", False) and backend.database == alias:
            yield backend


def _wake(alias: str, queues: set[str]) -> None:
    connection = connections[alias]
    for queue in queues:
        tell = partial(wakeup.announce, alias, queue)
        if connection.in_atomic_block or connection.get_autocommit():
            connection.on_commit(tell)
