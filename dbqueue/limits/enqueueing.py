"""The rule of a limit is in the database before the first job of it is."""

from functools import partial
from typing import Any

from django.db import connections
from django.db.models.signals import post_migrate
from django.dispatch import receiver

from dbqueue.limits import changes, rules
from dbqueue.limits.registry import Rule


def in_use(backend: Any, rule: Rule) -> None:
    """Write the rule of a job that is enqueued, if this process has not.

    A worker may not have imported the module that declares it.
    """
    if not getattr(backend, "stores_jobs", False):
        return
    alias: str = backend.database
    if (alias, rule) not in _known:
        rules.ensure(alias, [rule.name])
        # Until then it may be rolled back, together with the job.
        connections[alias].on_commit(partial(_note_use, alias, rule))


def _note_use(alias: str, rule: Rule) -> None:
    _known[alias, rule] = True
    if rule in rules.changed(alias):
        changes.declare(alias)


@receiver(post_migrate)
def forget(**kwargs: Any) -> None:
    """Read anew what is in the database."""
    _known.clear()  # the tables may be empty again


# What is in the database, by its alias.
_known: dict[tuple[str, Rule], bool] = {}
