"""The only rooms that know one database from another, and the only raw SQL."""

from functools import cache

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from dbqueue.dialects.base import Dialect
from dbqueue.dialects.postgresql.dialect import PostgreSQL
from dbqueue.dialects.postgresql.libpq import pool_size
from dbqueue.dialects.sqlite.dialect import SQLite

__all__ = ["SUPPORTED", "Dialect", "is_idle", "kind_of", "of", "pool_size"]

SUPPORTED: dict[str, type[Dialect]] = {
    dialect.name: dialect for dialect in (PostgreSQL, SQLite)
}


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


def kind_of(connection: BaseDatabaseWrapper) -> type[Dialect]:
    """Return the dialect of any connection; of an unknown database, what all share."""
    return SUPPORTED.get(connection.vendor, Dialect)


def is_idle(connection: BaseDatabaseWrapper) -> bool:
    """Tell, without a query, whether an open connection is whole and in no transaction.

    Of a database that is not supported, only what Django knows counts.
    """
    if connection.in_atomic_block or not connection.get_autocommit():
        return False
    return kind_of(connection).driver_is_idle(connection.connection)
