"""Which databases are in a transaction, and which hold the project's models."""

import sys
import warnings
from pathlib import Path

from django.apps import apps
from django.db import connections, router

from dbqueue.exceptions import AtomicUnavailable
from dbqueue.tasks.framework import AnyTask

# Whose lines a warning does not name: they stand between us and who called.
_INNER = tuple(
    str(Path(sys.modules[name].__file__ or "").parent)
    for name in ("dbqueue", AnyTask.__module__)
)


def open_elsewhere(alias: str) -> str | None:
    """Return another alias with an open transaction while this one has none."""
    own = connections[alias]
    if own.in_atomic_block:
        return None
    for connection in connections.all(initialized_only=True):
        if connection.alias != alias and connection.in_atomic_block:
            return connection.alias if own.get_autocommit() else None
    return None


def warn_of_deferral(path: str, *, other: str, database: str) -> None:
    """Warn whoever enqueued a job of this task inside a transaction on `other`."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_code.co_filename.startswith(_INNER):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"A job of {path!r} was enqueued inside a transaction on database {other!r}, "
        f"but jobs are in {database!r}: it is written after that transaction's "
        "commit, and is lost if the process dies between.",
        RuntimeWarning,
        stacklevel=level,
    )


def check_atomic(path: str, *, database: str) -> None:
    """Raise AtomicUnavailable if no model of the project is where the jobs are."""
    elsewhere = model_databases()
    if elsewhere and database not in elsewhere:
        raise AtomicUnavailable(
            f"{path!r} is atomic, but its jobs are in database {database!r} and the "
            f"models in {', '.join(sorted(elsewhere))}: one transaction cannot hold "
            "both. Drop atomic=True, or move the queue beside the models."
        )


def model_databases() -> set[str]:
    """Return the aliases that the router writes the project's own models to."""
    models = [
        model
        for model in apps.get_models()
        if model._meta.app_label != "dbqueue" and model._meta.managed
    ]
    return {router.db_for_write(model) for model in models}
