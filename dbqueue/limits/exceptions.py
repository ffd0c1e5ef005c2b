"""The errors of limits; they can be imported from dbqueue.exceptions, too."""

from dbqueue.exceptions import DbqueueError
from dbqueue.tasks.framework import InvalidTask

__all__ = ["InvalidLimit", "UnknownLimit"]


class InvalidLimit(DbqueueError, InvalidTask):
    """A limit does not go together, or is declared twice and differently."""


class UnknownLimit(DbqueueError, LookupError):
    """No limit has this name, in the code or in the database."""
