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
    "ignore_result": False,
    "track_started": False,
    "time_limit": None,
    "soft_time_limit": None,
}
OF_CALLS = {
    *("args", "kwargs", "countdown", "eta", "expires", "queue", "priority", "task_id"),
    *("ignore_result", "headers"),
}
# Accepted, without effect; each is told once. dbqueue acknowledges late in any case.
IGNORED = {
    *(
        "acks_late",
        "acks_on_failure_or_timeout",
        "reject_on_worker_lost",
        "compression",
    ),
    *("delivery_mode", "send_events", "store_errors_even_if_ignored", "routing_key"),
    *("exchange", "retry", "retry_policy", "shadow", "trail", "mandatory"),
}
REFUSED = {
    "link": "Enqueue the next task at the end of this one.",
    "link_error": "Write an on_failure() in a base class.",
    "chain": "Enqueue the next task at the end of this one.",
    "chord": "Enqueue the next task at the end of this one.",
    "rate_limit": "Use @dbqueue.task with a limit.",
    "connection": "There is no broker.",
    "producer": "There is no broker.",
}
_told: set[str] = set()


def check(given: dict[str, Any], known: Any, where: str) -> dict[str, Any]:
    """Return the options that have an effect.

    Raises NotImplementedError for what is refused, TypeError for what is unknown.
    """
    for name, way_out in REFUSED.items():
        if given.get(name):
            raise NotImplementedError(
                f"{where}: {name}={given[name]!r:.100} is not supported by "
                f"dbqueue.compat.celery. {way_out}"
            )
    serializer = given.get("serializer")
    if serializer not in (None, "json"):
        raise NotImplementedError(
            f"{where}: serializer={serializer!r} is not supported; arguments are JSON."
        )
    done = {"serializer", *REFUSED}
    for name in given.keys() & IGNORED - _told:
        _told.add(name)
        logger.info("%s: %s has no effect in dbqueue.compat.celery", where, name)
    unknown = given.keys() - {*known} - IGNORED - done
    for name in sorted(unknown):
        near = nearest(name, {*known, *IGNORED})
        raise TypeError(f"{where} has no option {name!r}.{near}")
    return {name: value for name, value in given.items() if name in known}


def takes(function: Callable[..., Any]) -> bool:
    """Tell whether a function takes a first argument, as a bound task has to."""
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    first = next(iter(signature(function).parameters.values()), None)
    return first is not None and first.kind in (*kinds, Parameter.VAR_POSITIONAL)
