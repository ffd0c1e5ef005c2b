"""How many jobs one statement of a child settles or claims."""

WHOLE = 1000  # jobs
# Seconds after which a smaller portion is doubled again.
PATIENCE = 10.0


class Portion:
    """Halved when the server cancels a statement for its time, and grown back later.

    `now` is monotonic.
    """

    def __init__(self) -> None:
        self.size = WHOLE
        self._grow_at = 0.0

    def shrink(self, jobs: int, now: float) -> None:
        """Note that a statement for so many jobs was cancelled."""
        self.size = max(1, min(self.size, jobs) // 2)
        self._grow_at = now + PATIENCE

    def recover(self, now: float) -> None:
        """Note that a statement went through."""
        if self.size < WHOLE and now >= self._grow_at:
            self.size = min(WHOLE, self.size * 2)
            self._grow_at = now + PATIENCE
