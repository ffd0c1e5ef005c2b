"""News of work; polling is the guarantee, a listener only the speed."""

from typing import Any

# Instead of a queue's name: something was written, and nothing more is known.
ANYTHING = "*"
FIRST_RETRY = 5.0  # seconds until another attempt to listen


class NullListener:
    """The listener where no news comes."""

    is_listening = False

    def open(self) -> None:
        """Connect, or test the connection, if it is time to."""

    def raw(self) -> list[Any]:
        """Return the driver's connection, if there is one."""
        return []

    def fileno(self) -> int | None:
        """Return the descriptor to select() on, if there is one."""
        return None

    def received(self) -> set[str]:
        """Return the queues that were announced since the last call."""
        return set()

    def close(self) -> None:
        """Disconnect."""
