"""What several commands share: the choice of a backend, and words for its errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db import Error

from dbqueue import conf
from dbqueue.backend import DatabaseBackend, our_backends
from dbqueue.exceptions import MigrationsNotApplied
from dbqueue.jobs.insert import migrated


@contextmanager
def database_errors_explained(alias: str) -> Iterator[None]:
    """Turn what the database refuses into a CommandError."""
    try:
        with migrated(alias):
            yield
    except MigrationsNotApplied as error:
        raise CommandError(str(error)) from error
    except Error as error:
        raise CommandError(f"Database {alias!r}: {str(error).strip()}") from error


def storing_backends() -> dict[str, DatabaseBackend]:
    """Return the dbqueue entries of TASKS that keep jobs for a worker, by alias."""
    return {a: b for a, b in our_backends().items() if b.stores_jobs}


def choose_backend(alias: str | None) -> DatabaseBackend:
    """Return the dbqueue entry of TASKS with the alias; by default, the first.

    Raises CommandError if there is none.
    """
    ours = storing_backends()
    if not ours:
        raise CommandError(
            "No entry of TASKS has the BACKEND 'dbqueue.backend.DatabaseBackend'."
        )
    name = next(iter(ours)) if alias is None else alias
    if name not in ours:
        near = conf.nearest(name, ours)
        raise CommandError(f"--backend {name!r} is not a dbqueue entry of TASKS.{near}")
    return ours[name]
