"""The track "result": the engine's worker replies, and the relay writes it."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.jobs import events, outcomes
from dbqueue.maintenance import leases
from dbqueue.maintenance.rescue import hidden_from, rescue
from dbqueue.models import Job, Worker
from dbqueue.models.worker import ENGINE
from dbqueue.relay.engines import Engine
from dbqueue.relay.tracks import ends, replies, starts
from dbqueue.relay.tracks.far import FarTrack
from dbqueue.relay.tracks.replies import Reply

logger = logging.getLogger(__name__)


class Missed(NamedTuple):
    """The jobs that a worker holds and does not run, and since when: all monotonic."""

    said_at: float
    since: Mapping[tuple[UUID, int], float]  # by job and attempt


class ResultTrack(FarTrack):
    """Writes what the engine's workers reply: starts, progress, ends and leases."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._jobs = Job.objects.using(self.alias).filter(queue_name=engine.queue)
        # Of each worker that does not run jobs that it holds, when it said so last.
        self._missed: dict[UUID, Missed] = {}

    def expires(self, deadline: datetime | None) -> float | None:
        left, ttl = super().expires(deadline), self.engine.dispatch_ttl
        return ttl if left is None else min(left, ttl)

    def write(self, texts: Sequence[str]) -> None:
        """Write these replies, of which any may have come before.

        Raises the database's errors: then they are to come again.
        """
        found = self._of_our_workers(list(_readable(texts)))
        self._keep_leases(found)
        self._write(found)
        for reply in found:
            if reply.kind == replies.ALIVE:
                self._look_for_lost(reply)
            elif reply.kind == replies.LEFT:
                self._let_go(reply.worker_id)

    def forget_missed(self) -> None:
        """Begin anew to look for jobs that are lost: their ends may wait, unread."""
        self._missed.clear()

    def _of_our_workers(self, found: Sequence[Reply]) -> list[Reply]:
        """Drop what speaks for another worker, as anybody could who knows its id."""
        ids = {reply.worker_id for reply in found}
        known = Worker.everyone.using(self.alias).filter(pk__in=ids)
        ours = known.of_engine(self.engine.queue).values_list("pk", flat=True)
        others = set(known.values_list("pk", flat=True)) - set(ours) if ids else set()
        for id in others:
            logger.error("A reply is of worker %s, which is not of its engine.", id)
        return [reply for reply in found if reply.worker_id not in others]

    def _let_go(self, worker_id: UUID) -> None:
        """End the row of a worker that has left.

        What it holds may have ended, as a reply says that comes later: then its lease
        decides.
        """
        self._missed.pop(worker_id, None)
        if not Job.objects.using(self.alias).held_by(worker_id).exists():
            leases.retire(self.alias, worker_id)

    def _write(self, found: Sequence[Reply]) -> None:
        """Write them in one commit, or if the database refuses one, one by one."""
        try:
            recorded = self._commit(found)
        except Exception as error:
            if not self.dialect.refuses(error):
                raise
            if len(found) > 1:
                for reply in found:
                    self._write([reply])
                return
            recorded = self._refuse(found[0], error)
        ends.tell(self.alias, recorded)

    def _commit(self, found: Sequence[Reply]) -> list[tuple[ClaimedJob, Outcome]]:
        with self.dialect.one_commit():
            self.dialect.read_committed()
            self._start(found)
            recorded = []
            for worker, ended in _by_worker(found, replies.ENDED).items():
                recorded += self._end(worker, ended)
            for worker, alive in _by_worker(found, replies.ALIVE).items():
                notes = [
                    (UUID(id), attempt, text)
                    for reply in alive
                    for id, attempt, text in reply.progress
                ]
                if notes:
                    self.dialect.note_progress(worker, notes)
        return recorded

    def _start(self, found: Sequence[Reply]) -> None:
        """Have the workers hold the jobs that their messages have started.

        Of several replies of one message, the first decides whose the job is.
        """
        first: dict[UUID, UUID] = {}
        for reply in found:
            for token in reply.began:
                first.setdefault(token, reply.worker_id)
        if not first:
            return
        rows = self.rows.filter(token__in=list(first))
        locked = rows.select_for_update().order_by("pk").values_list("pk", "token")
        started: dict[UUID, list[UUID]] = {}
        for id, token in list(locked):
            started.setdefault(first[token], []).append(id)
        rows._raw_delete(self.alias)
        for worker, ids in started.items():
            starts.start(self._jobs.filter(pk__in=ids), worker)

    def _end(
        self, worker: UUID, ended: Sequence[Reply]
    ) -> list[tuple[ClaimedJob, Outcome]]:
        """Record the ends of jobs that the worker holds, in these attempts."""
        told = {(reply.job_id, reply.attempt): reply for reply in ended}
        held = starts.held(self._jobs, worker, [id for id, _ in told])
        found = [
            (job, told[job.id, job.attempt].ending(job.gate))
            for job in held
            if (job.id, job.attempt) in told
        ]
        recorded = self.dialect.record(worker, [outcome for _, outcome in found])
        ours = [(job, outcome) for job, outcome in found if job.id in recorded]
        for id, _ in told.keys() - {(job.id, job.attempt) for job, _ in ours}:
            logger.info("Claim lost id=%s: its outcome changed 0 rows", id)
        return ours

    def _refuse(
        self, reply: Reply, error: Exception
    ) -> list[tuple[ClaimedJob, Outcome]]:
        """End a job as FAILED whose end the database does not take."""
        logger.error("A reply of id=%s cannot be stored: %s", reply.id, error)
        if reply.kind != replies.ENDED:
            return []
        with self.dialect.one_commit():
            self._start([reply])
            held = starts.held(self._jobs, reply.worker_id, [reply.job_id])
            ended = [
                (job, outcomes.refused(job, reply.worker_id, error))
                for job in held
                if job.attempt == reply.attempt
            ]
            self.dialect.record(reply.worker_id, [outcome for _, outcome in ended])
        for job, outcome in ended:
            events.refused(job, reply.worker_id, outcome, error)
        return ended

    def _keep_leases(self, found: Sequence[Reply]) -> None:
        """Renew the leases of the workers that have said that they are there."""
        here = (replies.STARTED, replies.ALIVE)
        workers = {reply.worker_id: reply for reply in found if reply.kind in here}
        if not workers:
            return
        lease = self.engine.lease
        for id in leases.heartbeat(self.alias, list(workers), lease=lease):
            # It was silent for longer: its jobs are others', and it may have more.
            rows = Worker.everyone.using(self.alias).filter(pk=id)
            if rows.filter(was_lost=True).update(ended_at=None, was_lost=None):
                leases.heartbeat(self.alias, [id], lease=lease)
            elif not rows.exists():  # one that has left stays so, whatever comes late
                with suppress(IntegrityError):  # another relay has written it meanwhile
                    self._register(workers[id])

    def _register(self, reply: Reply) -> None:
        leases.register(
            self.alias,
            reply.worker_id,
            name=f"engine {reply.host}:{reply.pid}",
            host=reply.host,
            pid=reply.pid,
            queues=self.engine.queue,
            lease=self.engine.lease,
            facts={"kind": ENGINE},
        )

    def _look_for_lost(self, reply: Reply) -> None:
        """Rescue jobs that their worker does not run, and whose end did not come."""
        now = time.monotonic()
        long = now - self.engine.lease
        # Nobody knows what one has run that said nothing for so long.
        for id, missed in list(self._missed.items()):
            if missed.said_at < long:
                self._missed.pop(id, None)
        known = {UUID(id): attempt for id, attempt, _ in reply.running}
        hidden = hidden_from(self.alias, reply.worker_id, known)
        last = self._missed.pop(reply.worker_id, None)
        before = last.since if last else {}
        since = {(j.id, j.attempt): before.get((j.id, j.attempt), now) for j in hidden}
        if since:
            self._missed[reply.worker_id] = Missed(now, since)
        rescue(self.alias, [j for j in hidden if since[j.id, j.attempt] < long])


def _readable(texts: Iterable[str]) -> Iterable[Reply]:
    for text in texts:
        try:
            yield Reply.of(text)
        except ValueError as error:
            logger.error("%s It is dropped.", error)


def _by_worker(found: Iterable[Reply], kind: str) -> Mapping[UUID, list[Reply]]:
    groups: dict[UUID, list[Reply]] = {}
    for reply in found:
        if reply.kind == kind:
            groups.setdefault(reply.worker_id, []).append(reply)
    return groups
