"""Tasks that this process could not import: its claims leave their jobs to others."""

import time

MOST = 100  # paths, as each claim names them all
# Seconds until a task is looked for again: its module may have been installed, or what
# kept it from being imported may be over.
RETRY_AFTER = 60.0


class UnknownTasks:
    """The dotted paths of tasks that were not found here, with a job's queue."""

    def __init__(self) -> None:
        self.queues: dict[str, str] = {}
        self._until: dict[str, float] = {}  # monotonic
        # What others have to be told of: whatever became unknown, or known again.
        self.changed: set[str] = set()

    def add(self, path: str, queue: str) -> bool:
        """Note a task that was not found; return False if there is no room for it."""
        if path not in self.queues:
            if len(self.queues) >= MOST:
                return False
            self.queues[path] = queue
            self.changed.add(path)
        self._until[path] = time.monotonic() + RETRY_AFTER
        return True

    def discard(self, path: str) -> None:
        """Note a task that was found."""
        if self.queues and self.queues.pop(path, None) is not None:
            del self._until[path]
            self.changed.add(path)

    def left_out(self) -> list[str]:
        """Return what claims leave out for now."""
        if not self._until:
            return []
        now = time.monotonic()
        return [path for path, until in self._until.items() if until > now]
