"""The track "full": the engine's worker reads the row, and starts and ends it there."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from dbqueue import dialects
from dbqueue.ids import uuid7
from dbqueue.models.job import JobQuerySet
from dbqueue.relay.engines import Engine
from dbqueue.relay.messages import Call
from dbqueue.relay.models import Dispatch
from dbqueue.relay.tracks import rows
from dbqueue.relay.tracks.rows import Pair


class Waiting(NamedTuple):
    """What is said of a job in its message."""

    id: UUID
    task: str
    queue: str
    backend: str
    expires: float | None = None  # seconds that its message counts, if it says so
    call: Call | None = None


class FullTrack:
    """What a relay does on this track, and on the others if they do not say else."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.alias = engine.database
        self.dialect = dialects.of(engine.database)
        # The relay, as what it does in the rows names it.
        self.worker_id = uuid7()
        self.rows = Dispatch.objects.using(self.alias).filter(queue_name=engine.queue)

    def fitting(self, jobs: JobQuerySet) -> JobQuerySet:
        """Return those of the ready jobs whose message may be published."""
        return jobs  # whatever else bars one is met by the claim

    def read(self, jobs: JobQuerySet, limit: int) -> list[Waiting]:
        """Return what the messages say of the first jobs, in their order."""
        ttl = self.engine.dispatch_ttl
        found = jobs.values_list("pk", "task", "queue_name", "backend")[:limit]
        return [Waiting(*row, expires=ttl) for row in found]

    def confirm(self, sent: Sequence[Pair]) -> None:
        """Note that the engine has the messages of these jobs for sure."""
        rows.confirm(self.dialect, sent, self.engine.dispatch_ttl)
