"""The choice of a backend that several commands offer."""

from django.core.management.base import CommandError

from dbqueue import conf
from dbqueue.backend import DatabaseBackend, our_backends


def choose_backend(alias: str | None) -> DatabaseBackend:
    """Return the dbqueue entry of TASKS with the alias; by default, the first.

    Raises CommandError if there is none.
    """
    ours = our_backends()
    if not ours:
        raise CommandError(
            "No entry of TASKS has the BACKEND 'dbqueue.backend.DatabaseBackend'."
        )
    name = next(iter(ours)) if alias is None else alias
    if name not in ours:
        near = conf.nearest(name, ours)
        raise CommandError(f"--backend {name!r} is no dbqueue entry of TASKS.{near}")
    return ours[name]
