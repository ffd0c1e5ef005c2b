"""The wing's own SQL, by the name of the dialect."""

from dbqueue.schedules.statements import postgresql, sqlite

__all__ = ["MOVE", "NOW"]

# Seconds since the epoch, by the server's clock; None is that of this host.
NOW = {"postgresql": postgresql.NOW, "sqlite": None}
# Moves the schedules of %(rows)s, a list of objects of JSON, and returns the ids of
# those that were still where they are said to have been.
MOVE = {"postgresql": postgresql.MOVE, "sqlite": sqlite.MOVE}
