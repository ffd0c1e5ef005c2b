"""Queues with slots of their own: their jobs run there, and no others do."""

import time
from dataclasses import dataclass
from uuid import UUID

from dbqueue.dialects.scan import Scan
from dbqueue.worker.loop.dispatch import Dispatch
from dbqueue.worker.loop.leaving import gives_up
from dbqueue.worker.loop.polling import Polling
from dbqueue.worker.loop.prefetch import Prefetch
from dbqueue.worker.options import WorkerOptions
from dbqueue.worker.run.pools import Pools

# Seconds a claimed job may wait for a thread before it goes back to the queue.
HOLD = 0.5


@dataclass(slots=True, eq=False)
class Section:
    """One queue, or several of one pattern, and the places that its jobs have."""

    scan: Scan
    dispatch: Dispatch
    places: int

    def room(self) -> int:
        """Return how many jobs could begin now, sync or async."""
        pools = self.dispatch.pools
        return max(0, self.places - pools.threads.load - pools.loop.load)


class Slots:
    """All places of a child: those of the main dispatch, and the sections beside it.

    Most children have no sections.
    """

    def __init__(
        self, options: WorkerOptions, main: Dispatch, polling: Polling
    ) -> None:
        self._completer = main.completer
        self._polling = polling
        self._look_at = self._look_again_at = self._claimed_at = 0.0
        self._sections = [
            Section(scan, _beside(main, places), places)
            for scan, places in options.sections()
        ]
        for section in self._sections:
            section.scan.unknown = main.unknown
        self.dispatches = [main, *(section.dispatch for section in self._sections)]

    def take_care(self, worker_id: UUID, waited: float) -> bool:
        """End what does not stop, and give back what waits; tell if the child ends.

        `waited` is for how many seconds nothing new has come to the main dispatch.
        """
        for dispatch in self.dispatches:
            if dispatch.in_trouble() and gives_up(worker_id, dispatch):
                return True
            if waited > HOLD and dispatch.pools.has_waiting():
                dispatch.give_back(waited)
            waited = time.monotonic() - self._claimed_at  # by the sections
        return False

    def step(self, *, leaving: bool) -> None:
        """Begin the next jobs that run alone, if it is time."""
        for dispatch in self.dispatches:
            dispatch.step(leaving=leaving)

    def is_exclusive(self) -> bool:
        """Tell whether the child is to claim nothing, for the sake of one job."""
        return any(dispatch.is_exclusive() for dispatch in self.dispatches)

    def has_waiting(self) -> bool:
        """Tell whether jobs wait for a place."""
        return any(dispatch.has_waiting() for dispatch in self.dispatches)

    def close(self) -> None:
        """End all pools once their jobs have."""
        for dispatch in self.dispatches:
            dispatch.pools.close()

    def hear(self, seconds: float) -> None:
        """Look at once, and again after so many seconds."""
        self._look_at = 0.0
        self._look_again_at = time.monotonic() + seconds

    @property
    def next_look(self) -> float:
        """The moment of the next look, monotonic; never, if there is no room."""
        free = any(section.room() for section in self._sections)
        return self._look_at if free else float("inf")

    def look(self, most: int, *, due: bool) -> None:
        """Claim what has room, if it is time, and let it begin; `most` jobs at once."""
        began = time.monotonic()
        if not (self._sections and (due or began >= self._look_at)):
            return
        more = False
        for section in self._sections:
            room = min(most, section.room())
            if room:
                jobs = self._completer.finish_and_claim(section.scan, room)
                section.dispatch.dispatch(jobs)
                self._claimed_at = time.monotonic()
                more |= section.scan.more or section.scan.owed
                most -= len(jobs)
        if more:
            self._look_at = began
        elif began < self._look_again_at:
            self._look_at = self._look_again_at
        else:
            self._look_at = time.monotonic() + self._polling.interval()


def _beside(main: Dispatch, places: int) -> Dispatch:
    """Return what runs jobs in places of their own, of the same child."""
    completer, deadlines, holder = main.completer, main.deadlines, main.holder
    pools = Pools(places, places, holder, deadlines, completer.done, eager=False)
    parts = completer, pools, Prefetch(places), deadlines, holder
    return Dispatch(*parts, main.unknown, main.watchdog, drain=main.drain)
