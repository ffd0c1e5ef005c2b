"""The options of tasks and of calls: what they mean here, and which do nothing."""

import logging
from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

from dbqueue.conf import nearest

logger = logging.getLogger(__name__)

# Of @shared_task: by name, with the default.
OF_TASKS: dict[str, Any] = {
    "name": None,
    "bind": False,
    "base": None,
    "queue": None,
    "priority": None,
    "expires": None,
    "max_retries": 3,
    "default_retry_delay": 180,
    "autoretry_for": (),
    "dont_autoretry_for": (),
    "retry_kwargs": {},
    "retry_backoff": False,
    "retry_backoff_max": 600,
    "retry_jitter": True,
    "throws": (),
    "typing": True,
    "ignore_result": None,
    "track_started": False,
    "time_limit": None,
    "soft_time_limit": None,
    "rate_limit": None,
}
OF_CALLS = {
    *("args", "kwargs", "countdown", "eta", "expires", "queue", "priority", "task_id"),
    *("ignore_result", "headers", "link", "link_error"),
}
_ACKNOWLEDGED = "A job is acknowledged at its end."
_NO_BROKER = "There is no broker."
_KEPT = "The row of the job keeps them."
# Accepted, without effect, and why; each is told once.
IGNORED = {
    "abstract": "A class is a task once app.register_task() has it.",
    "acks_late": _ACKNOWLEDGED,
    "acks_on_failure_or_timeout": _ACKNOWLEDGED,
    "add_to_parent": "There are no results of children.",
    "argsrepr": _KEPT,
    "autoregister": "Functions are registered by their decorator.",
    "compression": _NO_BROKER,
    "correlation_id": _NO_BROKER,
    "delivery_mode": "A job is always on disk.",
    "exchange": _NO_BROKER,
    "immutable": "Say it of the signature: task.si().",
    "kwargsrepr": _KEPT,
    "lazy": "A task is there once it is made.",
    "mandatory": _NO_BROKER,
    "parent_id": "It is that of the task that runs.",
    "reject_on_worker_lost": "A task whose worker dies is run again in any case.",
    "reply_to": _NO_BROKER,
    "resultrepr_maxsize": "The history keeps results whole.",
    "retry": "A call writes a row, or raises.",
    "retry_policy": "A call writes a row, or raises.",
    "root_id": "It is that of the task that runs.",
    "routing_key": "Name the queue.",
    "send_events": "Connect to dbqueue.signals.",
    "shadow": "Lists have the name of the task.",
    "shared": "There is one app.",
    "store_eager_result": "An EagerResult has it.",
    "store_errors_even_if_ignored": "Errors are kept in any case.",
    "trail": "There are no results of children.",
}
# Known, and without effect as well.
IDLE = {
    "throws": "A task that fails is logged the same way, whatever it raises.",
    "track_started": "A task that runs is always STARTED.",
}
_CANVAS = "Enqueue the next task at the end of this one, or use link=."
_STANDS = "Say it where the task is declared."
REFUSED = {
    "Request": "A worker makes the requests of its tasks by itself.",
    "Strategy": "A worker has one way to run a task.",
    "chain": _CANVAS,
    "chord": _CANVAS,
    "connection": "There is no broker.",
    "producer": "There is no broker.",
    "publisher": "There is no broker.",
    "pydantic": "Build the model inside the task, of the arguments.",
    "stamped_headers": "Use headers=.",
}
# What only a call may not say.
REFUSED_OF_CALLS = REFUSED | {
    "rate_limit": _STANDS,
    "soft_time_limit": _STANDS,
    "time_limit": _STANDS,
}
REFUSED_OF_RETRIES = REFUSED_OF_CALLS | dict.fromkeys(
    ("expires", "headers", "ignore_result", "link", "link_error", "task_id"),
    "A retry is of the same job, which keeps it.",
)
REFUSED_OF_RETRIES |= dict.fromkeys(
    ("priority", "queue"), "A retry stays where it is. Call apply_async(), and return."
)
_told: set[str] = set()


def of_task(given: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the options of a task; see check()."""
    return check(given, OF_TASKS.keys(), where, REFUSED)


def of_call(given: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the options of a call; see check()."""
    return check(given, OF_CALLS, where, REFUSED_OF_CALLS)


def of_retry(given: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the options of a retry; see check()."""
    return check(given, set(), where, REFUSED_OF_RETRIES)


def check(
    given: dict[str, Any], known: Any, where: str, refused: dict[str, str]
) -> dict[str, Any]:
    """Return the options that have an effect.

    Raises NotImplementedError for what is refused, TypeError for what is unknown.
    """
    for name in given.keys() & refused:
        if given[name]:
            raise NotImplementedError(
                f"{where}: {name}={given[name]!r:.100} is not supported by "
                f"dbqueue.compat.celery. {refused[name]}"
            )
    if given.get("serializer") not in (None, "json"):
        raise NotImplementedError(
            f"{where}: serializer={given['serializer']!r} is not supported; arguments "
            "are JSON, in which dates, decimals, UUIDs, bytes and model instances keep "
            "their types."
        )
    for name in given.keys() & IGNORED.keys() - _told:
        _told.add(name)
        logger.info(
            *("%s: %s has no effect in dbqueue.compat.celery. %s", where, name),
            IGNORED[name],
        )
    for name in sorted(given.keys() - {*known, "serializer", *IGNORED, *refused}):
        near = nearest(name, {*known, *IGNORED})
        raise TypeError(f"{where} has no option {name!r}.{near}")
    return {name: value for name, value in given.items() if name in known}


def takes(function: Callable[..., Any]) -> bool:
    """Tell whether a function takes a first argument, as a bound task has to."""
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    first = next(iter(signature(function).parameters.values()), None)
    return first is not None and first.kind in (*kinds, Parameter.VAR_POSITIONAL)
