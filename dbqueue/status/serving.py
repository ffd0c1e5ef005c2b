"""Which live workers take a queue, and know a task."""

from functools import cached_property

from dbqueue.dialects.scan import Scan
from dbqueue.models import Worker


class Crew:
    """The live workers of a database; they are asked for once."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def serves(self, queue: str) -> bool:
        """Tell whether one of them takes the queue."""
        return bool(self._unknown_to_each(queue))

    def knows(self, queue: str, task: str) -> bool:
        """Tell whether one of them takes the queue and did not miss the task."""
        return any(task not in unknown for unknown in self._unknown_to_each(queue))

    def _unknown_to_each(self, queue: str) -> list[list[str]]:
        """Return the tasks that each of the queue's workers does not know."""
        return [
            unknown for scan, unknown in self._alive if scan.rank(queue) is not None
        ]

    @cached_property
    def _alive(self) -> list[tuple[Scan, list[str]]]:
        alive = Worker.objects.using(self._alias).alive()
        rows = alive.values_list("queues", "unknown_tasks")
        return [(Scan.of(queues), unknown or []) for queues, unknown in rows]


def is_served(alias: str, queue: str) -> bool:
    """Tell whether a live worker takes the queue."""
    return Crew(alias).serves(queue)


def is_known(alias: str, queue: str, task: str) -> bool:
    """Tell whether a live worker takes the queue and did not miss the task."""
    return Crew(alias).knows(queue, task)
