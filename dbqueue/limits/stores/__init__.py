"""What gates ask of the database and write to it; one class for each database."""

from dbqueue import dialects
from dbqueue.limits.stores.base import Note, Picked, Store
from dbqueue.limits.stores.postgresql import PostgreSQLStore
from dbqueue.limits.stores.sqlite import SQLiteStore

__all__ = ["Note", "Picked", "Store", "of"]

_KINDS = {"postgresql": PostgreSQLStore, "sqlite": SQLiteStore}


def of(alias: str) -> Store:
    """Return the store of the database."""
    dialect = dialects.of(alias)
    return _KINDS[dialect.name](dialect)
