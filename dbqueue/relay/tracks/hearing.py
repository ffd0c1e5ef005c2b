"""Workers that no relay hears: their silence does not count, and their leases last."""

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from dbqueue import conf, dialects
from dbqueue.dialects.scan import Scan
from dbqueue.models import Worker
from dbqueue.relay.tracks.reader import Reader

# The share of its own lease after which a relay has stood still, and heard nothing.
STANDSTILL = 0.5


class Hearing:
    """What a relay does for the workers whose replies it reads, or cannot read.

    Its row says which queues it does not hear. While no other relay hears them, it
    renews the leases of their workers, for as long as its own; when it hears them
    again, they get one more, in which they can speak.
    """

    def __init__(self, alias: str, readers: Sequence[Reader]) -> None:
        self._alias = alias
        self._readers = readers
        self._kept_at = time.monotonic()
        # The queues that nobody has heard when it last looked.
        self._unheard: set[str] = set()
        self._told: tuple[UUID, set[str]] | None = None

    def keep(self, id: UUID) -> None:
        """Look whether workers are heard; to be called with each heartbeat of `id`."""
        if not self._readers:
            return
        lease, now = conf.current().lease, time.monotonic()
        if now > self._kept_at + STANDSTILL * lease:
            for reader in self._readers:
                reader.fall_behind()
        self._kept_at = now
        deaf = {r.engine.queue for r in self._readers if r.is_behind}
        self._tell(id, deaf)
        for reader in self._readers:
            queue = reader.engine.queue
            if queue not in deaf and queue in self._unheard:
                self._renew(queue, reader.engine.lease)
        self._unheard = deaf and deaf - self._heard_by_others(id, deaf)
        for queue in self._unheard:
            self._renew(queue, lease)

    def _tell(self, id: UUID, deaf: set[str]) -> None:
        if self._told != (id, deaf):
            facts = {"kind": "relay", **({"deaf": sorted(deaf)} if deaf else {})}
            Worker.objects.using(self._alias).filter(pk=id).update(facts=facts)
            self._told = id, deaf

    def _heard_by_others(self, id: UUID, queues: Iterable[str]) -> set[str]:
        relays = Worker.objects.using(self._alias).alive().filter(facts__kind="relay")
        heard = set()
        for served, facts in relays.exclude(pk=id).values_list("queues", "facts"):
            scan, deaf = Scan.of(served), facts.get("deaf", ())
            heard |= {q for q in queues if q not in deaf and scan.rank(q) is not None}
        return heard

    def _renew(self, queue: str, seconds: float) -> None:
        until = dialects.of(self._alias).clock() + timedelta(seconds=seconds)
        workers = Worker.objects.using(self._alias).of_engine(queue)
        workers.filter(expires_at__lt=until).update(expires_at=until)
