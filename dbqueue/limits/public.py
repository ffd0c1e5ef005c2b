"""The names that are found in dbqueue itself."""

from dbqueue.limits.declarations import Fair, Limit

__all__ = ["Fair", "Limit"]
