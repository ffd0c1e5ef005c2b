"""Which queue a task goes to, how often it starts, and what annotations change."""

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from dbqueue.compat.celery.conf import source

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def route(
    name: str, args: Any, kwargs: Any, options: dict[str, Any], task: Any
) -> dict[str, Any]:
    """Return the queue and the priority that task_routes give to a call, if they do."""
    for router in _routers(source.value("task_routes")):
        found = router(name, args, kwargs, options, task=task)
        if isinstance(found, str):
            return {"queue": found}
        if found:
            return {key: found[key] for key in ("queue", "priority") if key in found}
    return {}


def routed(
    task: Any, args: Any, kwargs: Any, options: dict[str, Any]
) -> dict[str, Any]:
    """Return the options of a call of a task, with what its route gives to it.

    A queue that the call or the task names comes first.
    """
    if options.get("queue") or task.queue:
        return options
    return {**route(task.name, args, kwargs, options, task), **options}


def named() -> Iterator[tuple[str, str]]:
    """Yield the settings that name queues, each with a queue; functions name none."""
    if default := source.value("task_default_queue"):
        yield "task_default_queue", str(default)
    for router in _routers(source.value("task_routes")):
        for _, found in getattr(router, "rules", ()):
            queue = found.get("queue") if isinstance(found, Mapping) else found
            if queue:
                yield "task_routes", str(getattr(queue, "name", queue))


def annotated(name: str) -> dict[str, Any]:
    """Return what task_annotations say of a task."""
    found: dict[str, Any] = {}
    given = source.value("task_annotations") or ()
    for item in [given] if isinstance(given, Mapping) else list(given):
        if isinstance(item, Mapping):
            found |= {**item.get("*", {}), **item.get(name, {})}
    return found


def rate(given: Any) -> dict[str, Any] | None:
    """Return the rate of a dbqueue.Limit for one of Celery's, as "10/m"; None = none.

    Raises ValueError.
    """
    if not given:
        return None
    number, _, unit = str(given).partition("/")
    try:
        count, seconds = float(number), _UNITS[unit or "s"]
        if not 0 <= count < 1_000_000:
            raise ValueError
    except (KeyError, ValueError):
        raise ValueError(
            f"rate_limit={given!r} is a number, by itself or in a second, a minute or "
            "an hour, as '10/s', '10/m' or '10/h'."
        ) from None
    if not count:
        return None
    if count.is_integer():
        return {"rate": int(count), "per": seconds}
    return {"rate": 1, "per": seconds / count}


def _routers(given: Any) -> Iterator[Callable[..., Any]]:
    if isinstance(given, str):
        given = source.named(given)
    if callable(given) or isinstance(given, Mapping):
        yield _router(given)
        return
    items = list(given or ())
    # A pair is one rule; a list has several, of which each may be a pair.
    if len(items) == 2 and isinstance(items[1], Mapping) and _is_pattern(items[0]):
        items = [items]
    for item in items:
        yield _router(source.named(item))


def _router(given: Any) -> Callable[..., Any]:
    if callable(given):
        found: Callable[..., Any] = given
        return found
    rules = list(given.items()) if isinstance(given, Mapping) else [given]
    if rules and not _is_pattern(rules[0][0]):
        rules = list(given)
    return _Rules(rules)


class _Rules:
    """Routes by names of tasks: pairs of a name or a pattern, and of where to."""

    def __init__(self, rules: list[tuple[Any, Any]]) -> None:
        self.rules = rules

    def __call__(self, name: str, *args: Any, **more: Any) -> Any:
        return next((found for rule, found in self.rules if _matches(rule, name)), None)


def _is_pattern(item: Any) -> bool:
    return isinstance(item, str | re.Pattern)


def _matches(rule: Any, name: str) -> bool:
    if isinstance(rule, re.Pattern):
        return rule.match(name) is not None
    return rule == name or fnmatchcase(name, rule)
