"""One look at the database for all who watch, whoever and how many they are."""

import asyncio
import contextvars
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import Error, connections

from dbqueue.progress.seeing import looks
from dbqueue.progress.seeing.looks import Snapshot

logger = logging.getLogger(__name__)

INTERVAL = 0.5  # seconds between two looks; workers store progress as often
# A place in line costs more to ask for: so many are asked for in each of so many looks.
PLACED, PLACING = 5, 4
GONE: Final = Snapshot(state="")  # it is not on record any more

_Key = tuple[str, UUID]  # the alias of the database, and the job


class Viewer:
    """Somebody who watches a job; `snapshot` is None while the database is away."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot: Snapshot | None = snapshot
        self._news = asyncio.Event()

    def tell(self, snapshot: Snapshot | None) -> None:
        """Take what was seen, if it is new."""
        if snapshot != self.snapshot:
            self.snapshot = snapshot
            self._news.set()

    async def changed(self, seconds: float) -> bool:
        """Wait for another snapshot; return False if there is none for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        was_set = self._news.is_set()
        self._news.clear()
        return was_set


class Hub:
    """Looks for the viewers of one event loop, while there are any."""

    def __init__(self) -> None:
        self._viewers: dict[_Key, set[Viewer]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._turn = self._looks = 0

    @property
    def viewers(self) -> int:
        return sum(map(len, self._viewers.values()))

    @asynccontextmanager
    async def viewer(
        self, database: str, id: UUID, snapshot: Snapshot
    ) -> AsyncIterator[Viewer]:
        """Give a Viewer of a job, which was seen so before."""
        key, viewer = (database, id), Viewer(snapshot)
        self._viewers.setdefault(key, set()).add(viewer)
        if self._looking is None:
            # Not in the context of a request, whose threads end with it.
            self._looking = asyncio.create_task(
                self._look_on(), context=contextvars.Context()
            )
        try:
            yield viewer
        finally:
            self._viewers[key].discard(viewer)
            if not self._viewers[key]:
                del self._viewers[key]

    async def _look_on(self) -> None:
        loop = asyncio.get_running_loop()
        # One thread, and so one connection, for all.
        thread = ThreadPoolExecutor(1, "dbqueue-progress")
        try:
            while self._viewers:
                keys, placed = list(self._viewers), self._placed()
                found = await loop.run_in_executor(thread, _look, keys, placed)
                self._tell(keys, found)
                await asyncio.sleep(INTERVAL)
        finally:
            self._looking = None  # who comes now begins another
            thread.submit(connections.close_all)
            thread.shutdown(wait=False)

    def _placed(self) -> set[UUID]:
        """Return the jobs in line whose turn it is to be told their place."""
        self._looks += 1
        if self._looks % PLACING:
            return set()
        waiting = [id for (_, id), known in self._viewers.items() if _is_in_line(known)]
        self._turn += PLACED
        return {
            waiting[(self._turn + i) % len(waiting)] for i in range(PLACED) if waiting
        }

    def _tell(self, keys: list[_Key], found: dict[_Key, Snapshot] | None) -> None:
        for key in keys:
            snapshot = None if found is None else found.get(key, GONE)
            for viewer in self._viewers.get(key, ()):
                viewer.tell(_with_place(snapshot, viewer.snapshot))


def of_this_loop() -> Hub:
    """Return the hub of the event loop that runs."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def _look(keys: list[_Key], placed: set[UUID]) -> dict[_Key, Snapshot] | None:
    """Look at all jobs; return None if a database is away."""
    ids: dict[str, list[UUID]] = defaultdict(list)
    for database, id in keys:
        ids[database].append(id)
    try:
        return {
            (database, id): snapshot
            for database, some in ids.items()
            for id, snapshot in looks.look_at(database, some, placed=placed).items()
        }
    except Error as error:
        logger.warning("Viewers of jobs have to wait: %s", error)
        connections.close_all()
        return None


def _is_in_line(viewers: set[Viewer]) -> bool:
    return any(v.snapshot and v.snapshot.state == "READY" for v in viewers)


def _with_place(new: Snapshot | None, old: Snapshot | None) -> Snapshot | None:
    """Return what was seen, with the place in line as it was told last."""
    if new is None or old is None or new.position is not None:
        return new
    return replace(new, position=old.position) if new.state == old.state else new


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()
