"""The wing's own SQL, by the name of the dialect."""

from dbqueue.schedules.statements import postgresql, sqlite

__all__ = ["FIRST", "KNOWN", "MOVE", "NOW"]

# Seconds since the epoch, by the server's clock; None is that of this host.
NOW = {"postgresql": postgresql.NOW, "sqlite": None}
# The id of the schedule that is due first, and in how many seconds; null for a moment
# that is none. {known} leaves out those of %(tasks)s, and those with a cadence of
# %(kinds)s, both lists of JSON.
FIRST = {"postgresql": postgresql.FIRST, "sqlite": sqlite.FIRST}
KNOWN = {"postgresql": postgresql.KNOWN, "sqlite": sqlite.KNOWN}
# Moves the schedules of %(rows)s, a list of objects of JSON, and returns the ids of
# those that were still where they are said to have been.
MOVE = {"postgresql": postgresql.MOVE, "sqlite": sqlite.MOVE}
