"""The database's clock, and the news that there is something to look at."""

from datetime import datetime
from functools import partial
from typing import Any

from django.db import connections
from django.utils import timezone

from dbqueue import dialects
from dbqueue.jobs import wakeup
from dbqueue.schedules.statements import NOW


def now(alias: str) -> datetime:
    """Return the present moment, by the database's clock."""
    statement = NOW[dialects.of(alias).name]
    if statement is None:
        return timezone.now()
    ((seconds,),) = dialects.of(alias).ask(statement, {})
    return datetime.fromtimestamp(seconds, timezone.get_default_timezone())


def announce(alias: str) -> None:
    """Have the keepers look at the schedules, once the transaction has committed."""
    connection: Any = connections[alias]
    # In a transaction by hand nothing tells of the commit: looking finds it.
    if connection.in_atomic_block or connection.get_autocommit():
        connection.on_commit(partial(wakeup.announce, alias, wakeup.SCHEDULE))
