"""The only rooms that know one database from another, and the only raw SQL."""

from functools import cache

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from dbqueue.dialects.base import Dialect
from dbqueue.dialects.postgresql import PostgreSQL
from dbqueue.dialects.sqlite import SQLite

__all__ = ["SUPPORTED", "Dialect", "is_at_rest", "is_remote", "of"]

SUPPORTED: dict[str, type[Dialect]] = {"postgresql": PostgreSQL, "sqlite": SQLite}


@cache
def of(alias: str) -> Dialect:
    """Return the dialect of the database behind the alias.

    Raises ImproperlyConfigured for a database dbqueue does not run on.
    """
    vendor = connections[alias].vendor
    if vendor not in SUPPORTED:
        raise ImproperlyConfigured(
            f"Database {alias!r} is {vendor}; dbqueue runs on {', '.join(SUPPORTED)}."
        )
    return SUPPORTED[vendor](alias)


def is_remote(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the database is behind a connection that may go silent."""
    return SUPPORTED.get(connection.vendor, Dialect).is_remote


def is_at_rest(connection: BaseDatabaseWrapper) -> bool:
    """Tell, without a query, whether an open connection is whole and in no transaction.

    Of a database that is not supported, only what Django knows is told.
    """
    if connection.in_atomic_block or not connection.get_autocommit():
        return False
    dialect = SUPPORTED.get(connection.vendor, Dialect)
    return dialect.driver_is_at_rest(connection.connection)
