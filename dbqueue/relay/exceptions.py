"""The errors of the relay; they can be imported from dbqueue.exceptions, too."""

from dbqueue.exceptions import DbqueueError

__all__ = ["EngineUnavailable", "MessageRefused"]


class MessageRefused(DbqueueError):
    """An engine does not take this message, which may be too large; it takes others."""


class EngineUnavailable(DbqueueError):
    """An engine could not be reached, or has not confirmed that it has a message."""
