"""What a child hears while it waits: its own threads, its keeper, its supervisor."""

from typing import NamedTuple

from dbqueue.worker.bell import Bell, wait


class Heard(NamedTuple):
    poked: bool  # the keeper knows of work
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
        for ear in heard:
            if isinstance(ear, Bell):
                ear.silence()
        if self._lifeline in heard:
            # At its end of file it would be ready for ever.
            self._lifeline, self._orphaned = None, True
        return Heard(self._pokes in heard, self._orphaned)
