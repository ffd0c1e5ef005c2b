"""System checks: settings that are wrong, and settings that will hurt."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands
from django.db import connections, router
from django.utils.connection import ConnectionDoesNotExist

# The import of django_tasks registers the framework's check, which calls ours.
from dbqueue import conf, dialects, django_tasks  # noqa: F401
from dbqueue.models import Job
from dbqueue.transactions import model_databases


@checks.register("dbqueue")
def check_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """E001: DBQUEUE is wrong. W001: another app's runworker comes first."""
    found: list[checks.CheckMessage] = []
    try:
        conf.current()
    except ImproperlyConfigured as error:
        found.append(checks.Error(str(error), id="dbqueue.E001"))
    owner = get_commands().get("runworker")
    if owner != "dbqueue":
        found.append(
            checks.Warning(
                f"'manage.py runworker' is a command of {owner!r}.",
                hint="Use 'manage.py dbqueue_worker', or list 'dbqueue' before it.",
                id="dbqueue.W001",
            )
        )
    return found


def check_backend(backend: Any) -> list[checks.CheckMessage]:
    """E002-E004 and W002-W005, for one entry of TASKS."""
    where = f"TASKS[{backend.alias!r}]['OPTIONS']"
    found: list[checks.CheckMessage] = [
        checks.Error(
            f"{where} has no {name!r}.{conf.nearest(name, backend.OPTIONS)}",
            id="dbqueue.E002",
        )
        for name in sorted(backend.options.keys() - backend.OPTIONS)
    ]
    alias = backend.options.get("database") or router.db_for_write(Job)
    try:
        connection = connections[alias]
    except ConnectionDoesNotExist:
        message = f"{where}['database'] is {alias!r}.{conf.nearest(alias, connections)}"
        return [*found, checks.Error(message, id="dbqueue.E003")]
    try:
        dialects.of(alias)
    except ImproperlyConfigured as error:
        return [*found, checks.Error(str(error), id="dbqueue.E004")]
    if model_databases() - {alias}:
        found.append(
            checks.Warning(
                f"Jobs are in database {alias!r}; models are also elsewhere.",
                hint="A job enqueued in a transaction on another database is written "
                "after that transaction's commit, not with it.",
                id="dbqueue.W002",
            )
        )
    return [*found, *_check_sqlite(connection)]


def _check_sqlite(connection: Any) -> Iterable[checks.CheckMessage]:
    if connection.vendor != "sqlite":
        return
    zone = connection.timezone_name
    if _changes_its_clock(zone):
        yield checks.Warning(
            f"SQLite database {connection.alias!r} keeps the local time of {zone!r}.",
            hint="When its clock changes, leases and due times are wrong by an hour: "
            "jobs may run twice, early or late. Set USE_TZ = True, and no TIME_ZONE in "
            "DATABASES.",
            id="dbqueue.W005",
        )
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
