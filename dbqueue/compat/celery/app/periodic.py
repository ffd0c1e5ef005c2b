"""Periodic tasks: beat_schedule and add_periodic_task() as schedules of dbqueue."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from dbqueue.compat.celery.app import making
from dbqueue.compat.celery.conf import routes, source
from dbqueue.compat.celery.schedules import crontab, maybe_schedule, schedule

logger = logging.getLogger(__name__)

# Options of an entry that a schedule of dbqueue has, too; others have no effect.
_OPTIONS = {"queue": "queue_name", "priority": "priority", "expires": "expires"}
# What prunes results in Celery; workers of dbqueue prune by themselves.
CLEANUP = "celery.backend_cleanup"


@dataclass(slots=True)
class Entry:
    """A periodic task; `when` is a crontab, a schedule, seconds or a timedelta."""

    task: str
    when: Any
    args: Any = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


# Of add_periodic_task(), by name.
added: dict[str, Entry] = {}


def add(
    when: Any, sig: Any, args: Any, kwargs: Any, name: str | None, options: Any
) -> str:
    """Note a periodic task, and return its name."""
    if not isinstance(sig, dict):
        sig = sig.s()
    more = {**sig["options"], **options}
    name = name or repr(sig)
    added[name] = Entry(
        sig["task"],
        when,
        args or sig["args"],
        {**sig["kwargs"], **(kwargs or {})},
        more,
    )
    return name


def zone() -> str:
    """Return the name of the time zone of crontabs; in Celery that is UTC."""
    given = source.value("timezone")
    return str(getattr(given, "key", None) or given or "UTC")


def names() -> set[str]:
    """Return the names of the periodic tasks of the code and the settings."""
    return {name for name, _ in _entries()}


def declared() -> tuple[list[Any], list[Any]]:
    """Return the declarations of all periodic tasks, and what is wrong with others."""
    exceptions = import_module("dbqueue.schedules.exceptions")
    made, wrong = [], []
    for name, entry in _entries():
        try:
            made.append(declaration(name, entry))
        except exceptions.InvalidSchedule as error:
            wrong.append(error)
        # The project's entries, and imports of its modules: anything may come.
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            wrong.append(exceptions.InvalidSchedule(f"Periodic task {name!r}: {told}"))
    return made, wrong


def declaration(name: str, entry: Entry) -> Any:
    """Return the declaration of a periodic task.

    Raises InvalidSchedule, NotRegistered, and what a wrong entry raises.
    """
    declarations = import_module("dbqueue.schedules.declared.declarations")
    values = import_module("dbqueue.schedules.values")
    task = making.find(entry.task)
    task.check_arguments(entry.args, entry.kwargs)
    options = routes.routed(task, entry.args, entry.kwargs, entry.options)
    given = {_OPTIONS[n]: v for n, v in options.items() if n in _OPTIONS}
    idle = sorted(n for n in entry.options if n not in _OPTIONS)
    if idle:
        logger.info("Periodic task %r: %s has no effect", name, ", ".join(idle))
    return declarations.Declaration(
        name=name,
        origin="code",
        task=task.job.module_path,
        cadence=cadence(entry.when),
        args=list(entry.args),
        kwargs=dict(entry.kwargs),
        # In Celery a run that takes long keeps no other from being sent.
        **{**values.DEFAULTS, "overlap": "allow", **given},
    )


def cadence(when: Any) -> Any:
    """Return when a periodic task runs, as dbqueue says it. Raises TypeError."""
    times = import_module("dbqueue.schedules.times.cadence")
    when = maybe_schedule(when)
    if isinstance(when, crontab):
        return times.Cron(when.line(), timezone=zone(), both_days=True)
    if isinstance(when, schedule):
        return times.Every(when.run_every)
    if isinstance(when, times.Cadence):
        return when
    raise TypeError(
        f"{when!r} is no schedule: it is a crontab, a number of seconds or a timedelta."
    )


def _entries() -> Iterator[tuple[str, Entry]]:
    yield from added.items()
    given = source.value("beat_schedule") or {}
    for name, entry in given.items():
        if entry.get("task") == CLEANUP:
            continue
        yield (
            str(name),
            Entry(
                entry["task"],
                entry["schedule"],
                entry.get("args") or (),
                entry.get("kwargs") or {},
                entry.get("options") or {},
            ),
        )
