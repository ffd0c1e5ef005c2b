"""The database's clock, and the news that there is something to look at."""

import json
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db import connections
from django.utils import timezone

from dbqueue import dialects
from dbqueue.dialects.rows import as_kept
from dbqueue.jobs import wakeup
from dbqueue.schedules.statements import FIRST, KNOWN, NOW


def now(alias: str) -> datetime:
    """Return the present moment by the database's clock, aware also without USE_TZ."""
    statement = NOW[dialects.of(alias).name]
    if statement is None:
        return datetime.now(UTC)
    ((seconds,),) = dialects.of(alias).ask(statement, {})
    return datetime.fromtimestamp(seconds, UTC)


def first_due(
    alias: str, tasks: Collection[str], kinds: Collection[str]
) -> tuple[Any, float | None] | None:
    """Return the schedule that is due first, by its id, and in how many seconds.

    None for these is a moment that cannot be read. Those of the tasks, and those whose
    cadence is of the kinds, are left out. Return None if none is ever due. It costs one
    look into an index, as it is asked often.
    """
    dialect, known, values = dialects.of(alias), "", dict[str, Any]()
    if tasks or kinds:
        known = KNOWN[dialect.name]
        values |= {"tasks": json.dumps([*tasks]), "kinds": json.dumps([*kinds])}
    values["now"] = writer(alias)(timezone.now())
    found = dialect.ask(FIRST[dialect.name].format(known=known), values)
    return (found[0][0], found[0][1]) if found else None


def writer(alias: str) -> Callable[[datetime | None], str | None]:
    """Return what writes a moment as the statements of the database take it."""
    adapt = connections[alias].ops.adapt_datetimefield_value

    def write(moment: datetime | None) -> str | None:
        return None if moment is None else str(adapt(as_kept(moment)))

    return write


def announce(alias: str) -> None:
    """Have the keepers look at the schedules, once the transaction has committed."""
    connection: Any = connections[alias]
    # In a transaction by hand nothing tells of the commit: looking finds it.
    if connection.in_atomic_block or connection.get_autocommit():
        connection.on_commit(partial(wakeup.announce, alias, wakeup.SCHEDULE))
