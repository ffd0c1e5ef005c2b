"""What a file sets of Celery: names of a settings file, and of `app.conf`."""

import ast
from typing import Any

from dbqueue.compat.celery.conf import keys
from dbqueue.compat.celery.move import syntax
from dbqueue.compat.celery.move.syntax import (
    IGNORED,
    REFUSED,
    SUPPORTED,
    WRONG,
    Report,
)

_OLDER = ("CELERYBEAT_", "CELERYD_", "BROKER_")


def tell(report: Report, node: Any, target: ast.expr, value: ast.expr) -> None:
    """Tell of an assignment, if it is to a setting of Celery's."""
    if isinstance(target, ast.Attribute) and syntax.last(target.value) == "conf":
        tell_of_key(report, node, target.attr, value)
    elif isinstance(target, ast.Name) and target.id.isupper():
        name = target.id
        if name.startswith("CELERY_"):
            rest = name.removeprefix("CELERY_").lower()
            found = rest if keys.is_known(rest) else keys.named(name, "")
            tell_of_key(report, node, found or rest, value, name)
        elif name.startswith(_OLDER):
            tell_of_key(report, node, str(keys.named(name, "")), value, name)


def tell_of_key(
    report: Report, node: Any, key: str, value: ast.expr, shown: str | None = None
) -> None:
    """Tell of a setting by its name in Celery."""
    report.queues |= _queues(key, value)
    constant = value.value if isinstance(value, ast.Constant) else None
    shown = shown or f"conf.{key}"
    if words := keys.problem(key, constant):
        report.add(node, REFUSED, shown, words)
    elif keys.counts(key):
        report.add(node, SUPPORTED, shown)
    elif words := keys.misspelt(key):
        report.add(node, WRONG, shown, words.partition(". ")[2])
    elif keys.is_known(key):
        report.add(node, IGNORED, shown, keys.why_idle(key))


def _queues(key: str, value: ast.expr) -> set[str]:
    """Return the queues that a setting names, as far as they are written out."""
    if key == "task_default_queue":
        return syntax.texts([value])
    if key not in ("task_routes", "beat_schedule"):
        return set()
    found = [
        held
        for node in ast.walk(value)
        if isinstance(node, ast.Dict)
        for name, held in zip(node.keys, node.values, strict=True)
        # A route may be a queue, and no dict.
        if syntax.texts([name]) == {"queue"} or (node is value and key == "task_routes")
    ]
    return syntax.texts(found)
