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
# Accepted, without effect; each is told once. dbqueue acknowledges late in any case.
IGNORED = {
    *("abstract", "acks_late", "acks_on_failure_or_timeout", "add_to_parent"),
    *("argsrepr", "autoregister", "compression", "correlation_id", "delivery_mode"),
    *("exchange", "immutable", "kwargsrepr", "lazy", "mandatory", "parent_id"),
    *("reject_on_worker_lost", "reply_to", "resultrepr_maxsize", "retry"),
    *("retry_policy", "root_id", "routing_key", "send_events", "shadow", "shared"),
    *("store_eager_result", "store_errors_even_if_ignored", "trail"),
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
    for name in given.keys() & IGNORED - _told:
        _told.add(name)
        logger.info("%s: %s has no effect in dbqueue.compat.celery", where, name)
    for name in sorted(given.keys() - {*known, "serializer"} - IGNORED - {*refused}):
        near = nearest(name, {*known, *IGNORED})
        raise TypeError(f"{where} has no option {name!r}.{near}")
    return {name: value for name, value in given.items() if name in known}


def takes(function: Callable[..., Any]) -> bool:
    """Tell whether a function takes a first argument, as a bound task has to."""
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    first = next(iter(signature(function).parameters.values()), None)
    return first is not None and first.kind in (*kinds, Parameter.VAR_POSITIONAL)
