"""System checks of schedules: silent in a project without any."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from dbqueue import conf, dialects
from dbqueue.backend import our_backends
from dbqueue.schedules import calls
from dbqueue.schedules.declared import declarations
from dbqueue.schedules.exceptions import InvalidSchedule
from dbqueue.schedules.models import Schedule

# Seconds after which what is due counts as forgotten.
LATE = timedelta(seconds=60)


@checks.register("dbqueue_schedules")
def check_declared(**kwargs: Any) -> list[checks.CheckMessage]:
    """E007: a schedule of the settings, or of the code, cannot be fired."""
    try:
        conf.current()
        declared, wrong = declarations.everything()
    except ImproperlyConfigured:
        return []  # E001 tells of it
    problems = [*wrong, *_problems(declared)]
    return [checks.Error(str(error), id="dbqueue.E007") for error in problems]


@checks.register(checks.Tags.database)
def check_late(
    databases: Iterable[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """W013: schedules are due, and no worker fires them."""
    found = []
    for alias in sorted({backend.database for backend in our_backends().values()}):
        if alias in (databases or ()) and _migrated(alias):
            found += _late(alias)
    return found


def _problems(declared: Iterable[Any]) -> Iterator[InvalidSchedule]:
    for made in declared:
        try:
            calls.check(made)
        except InvalidSchedule as error:
            yield error


def _migrated(alias: str) -> bool:
    # `migrate` runs this, too, before there is anything.
    tables = connections[alias].introspection.table_names()
    return Schedule._meta.db_table in tables


def _late(alias: str) -> list[checks.CheckMessage]:
    limit = dialects.of(alias).clock() - LATE
    first = Schedule.objects.using(alias).due(limit).values_list("name", flat=True)[:3]
    names = list(map(repr, first))
    if not names:
        return []
    return [
        checks.Warning(
            f"Schedules are due for over {LATE.seconds} seconds, and no worker fires "
            f"them: {', '.join(names)}.",
            hint="Start 'manage.py runworker' with the code that has their tasks.",
            id="dbqueue.W013",
        )
    ]
