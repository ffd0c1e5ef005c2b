"""What the tracks share whose workers do not read the rows: the call goes along."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, TextField, Value
from django.db.models.functions import Cast, Concat, Length
from django.utils import timezone

from dbqueue.dialects.loading import BYTES
from dbqueue.dialects.rows import tell_of_known
from dbqueue.jobs.refusals import set_aside
from dbqueue.models import FinishedJob, Job, Pause
from dbqueue.models.job import JobQuerySet
from dbqueue.relay.messages import Call
from dbqueue.relay.tracks.full import FullTrack, Waiting

_TEXTS = {name: Cast(name, TextField()) for name in ("args", "kwargs", "context")}
_NAMES = (
    *("pk", "task", "queue_name", "backend", "expires_at", "enqueued_at"),
    *("attempt", "failures", "max_attempts", "priority"),
)
LEAST = 1.0  # seconds that a message counts, whatever little is left


class FarTrack(FullTrack):
    """A track on which nothing claims the row: the relay asks what a claim would."""

    def fitting(self, jobs: JobQuerySet) -> JobQuerySet:
        pauses = Pause.objects.using(self.alias)
        paused = pauses.filter(pk=Concat(Value("task:"), OuterRef("task")))
        late = Q(expires_at__lte=self.dialect.clock())
        return jobs.filter(~Exists(paused)).exclude(late)

    def read(self, jobs: JobQuerySet, limit: int) -> list[Waiting]:
        weight = sum((Length(text) for text in _TEXTS.values()), start=Value(0))
        weighed = jobs.annotate(weight=weight).values_list("pk", "once", "weight")
        heads = list(weighed[:limit])
        known = self._forget_known(id for id, once, _ in heads if once)
        ids = list(_light((id, size) for id, _, size in heads if id not in known))
        try:
            return self._read(ids)
        except Exception as error:
            if not self.dialect.refuses(error):
                raise
        return [waiting for id in ids for waiting in self._read_alone(id)]

    def expires(self, deadline: datetime | None) -> float | None:
        """Return how long the message of a job with this deadline counts, if limited.

        Nothing publishes it again, so that only the job's own deadline ends it.
        """
        if deadline is None:
            return None
        now = timezone.now() if timezone.is_aware(deadline) else datetime.now()
        return max(LEAST, (deadline - now).total_seconds())

    def _read(self, ids: Sequence[UUID]) -> list[Waiting]:
        rows = Job.objects.using(self.alias).ready().filter(pk__in=ids)
        texts = {f"{name}_text": text for name, text in _TEXTS.items()}
        found = {row["pk"]: row for row in rows.values(*_NAMES, **texts)}
        return [self._waiting(found[id]) for id in ids if id in found]

    def _read_alone(self, id: UUID) -> list[Waiting]:
        """Return the job, unless its row was damaged: then it ends as FAILED."""
        try:
            return self._read([id])
        except Exception as error:
            if not self.dialect.refuses(error):
                raise
            set_aside(self.dialect, id, self.worker_id, error)
            return []

    def _forget_known(self, ids: Iterable[UUID]) -> set[UUID]:
        """Remove jobs under a chosen id that the history has, as a claim does."""
        chosen = list(ids)
        if not chosen:
            return set()
        history = FinishedJob.objects.using(self.alias).filter(pk__in=chosen)
        known = set(history.values_list("pk", flat=True))
        Job.objects.using(self.alias).ready().filter(pk__in=known)._raw_delete(
            self.alias
        )
        for id in known:
            tell_of_known(id)
        return known

    def _waiting(self, row: dict[str, Any]) -> Waiting:
        return Waiting(
            row["pk"],
            row["task"],
            row["queue_name"],
            row["backend"],
            expires=self.expires(row["expires_at"]),
            call=Call(
                args=row["args_text"],
                kwargs=row["kwargs_text"],
                context=row["context_text"],
                attempt=row["attempt"] + 1,
                failures=row["failures"],
                max_attempts=row["max_attempts"],
                priority=row["priority"],
                enqueued_at=row["enqueued_at"].isoformat(),
            ),
        )


def _light(weights: Iterable[tuple[UUID, int]]) -> Iterator[UUID]:
    """Give the first jobs, as many as weigh no more than BYTES together."""
    total = 0
    for place, (id, weight) in enumerate(weights):
        total += weight
        if total > BYTES and place:
            return
        yield id
