"""System checks of an entry of DATABASES for SQLite."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core import checks
from django.db.backends.base.base import BaseDatabaseWrapper


def check(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    """Yield W003 to W005, for what makes writers wait or fail."""
    zone = connection.timezone_name
    if _changes_its_clock(zone):
        yield checks.Warning(
            f"SQLite database {connection.alias!r} keeps the local time of {zone!r}.",
            hint="When its clock changes, leases and due times are wrong by an hour: "
            "jobs may run twice, early or late. Set USE_TZ = True, and no TIME_ZONE in "
            "DATABASES.",
            id="dbqueue.W005",
        )
    creation: Any = connection.creation
    if creation.is_in_memory_db(connection.settings_dict["NAME"]):
        return  # as in tests: no other process can open it
    options = connection.settings_dict.get("OPTIONS", {})
    if options.get("transaction_mode") != "IMMEDIATE":
        yield checks.Warning(
            f"SQLite database {connection.alias!r} has no transaction_mode IMMEDIATE.",
            hint="A transaction that reads before it writes fails with 'database is "
            "locked' when another process wrote in between.",
            id="dbqueue.W003",
        )
    if "wal" not in str(options.get("init_command", "")).lower():
        yield checks.Warning(
            f"SQLite database {connection.alias!r} does not set journal_mode=WAL.",
            hint="Set OPTIONS['init_command'] to 'PRAGMA journal_mode=WAL; "
            "PRAGMA synchronous=NORMAL', or readers and the worker block each other.",
            id="dbqueue.W004",
        )


def _changes_its_clock(zone: str) -> bool:
    year = datetime.now().year
    months = [datetime(y, m, 1) for y in (year, year + 1) for m in range(1, 13)]
    return len({ZoneInfo(zone).utcoffset(month) for month in months}) > 1
