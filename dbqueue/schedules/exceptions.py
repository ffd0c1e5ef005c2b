"""The errors of schedules; they can be imported from dbqueue.exceptions, too."""

from dbqueue.exceptions import DbqueueError

__all__ = ["InvalidSchedule", "ScheduleNameTaken", "UnknownCadence"]


class InvalidSchedule(DbqueueError, ValueError):
    """A schedule cannot be: its times, its task, or another of its values is wrong."""


class ScheduleNameTaken(InvalidSchedule):
    """Another schedule has the name."""


class UnknownCadence(InvalidSchedule):
    """The times of a schedule are of a kind that no imported module defines."""
