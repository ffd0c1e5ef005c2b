"""What a child hears while it waits: its own threads, its keeper, its supervisor."""

from typing import NamedTuple

from dbqueue.worker.bell import Bell, wait

# What the keeper pokes with: the name of the one queue that has news, or nothing.
END = b"\0"


class Heard(NamedTuple):
    news: set[str]  # queues in which the keeper knows of work; "" stands for any
    orphaned: bool  # the supervisor is gone


class Ears:
    """Waits for the child's own bell, the keeper's pokes, and the lifeline's end.

    `lifeline` is the read end of a pipe that the supervisor holds open; `pokes` and
    `lifeline` are None where there is nobody.
    """

    def __init__(self, bell: Bell, pokes: Bell | None, lifeline: int | None) -> None:
        self._bell = bell
        self._pokes = pokes
        self._lifeline = lifeline
        self._orphaned = False

    def listen(self, seconds: float) -> Heard:
        """Wait for a sound, `seconds` at most, and return what it was."""
        ears: list[Bell | int] = [self._bell]
        if self._pokes is not None:
            ears.append(self._pokes)
        if self._lifeline is not None:
            ears.append(self._lifeline)
        heard = wait(ears, seconds)
        notes = {ear: ear.silence() for ear in heard if isinstance(ear, Bell)}
        if self._lifeline in heard:
            # At its end of file it would be ready for ever.
            self._lifeline, self._orphaned = None, True
        news = notes[self._pokes].split(END)[:-1] if self._pokes in notes else []
        return Heard({queue.decode() for queue in news}, self._orphaned)
