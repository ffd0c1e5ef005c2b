"""Publishes a message of each job that waits in an engine's queue."""

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db.models import Exists, OuterRef

from dbqueue import conf, dialects
from dbqueue.dialects.columns import ORDER
from dbqueue.exceptions import TaskNotAllowed, TaskNotFound
from dbqueue.models import Job, Pause
from dbqueue.relay.engines import Engine
from dbqueue.relay.messages import Message
from dbqueue.relay.models import Dispatch
from dbqueue.relay.tracks import TRACKS
from dbqueue.relay.tracks.full import FullTrack, Waiting
from dbqueue.relay.tracks.reader import Reader
from dbqueue.relay.tracks.result import ResultTrack
from dbqueue.relay.transports import Transport
from dbqueue.tasks import defaults, registry

logger = logging.getLogger(__name__)

# Seconds after which a message that nobody has confirmed is published again: longer
# than a transport may take.
PATIENCE = 60.0
FORGET = 1.0  # seconds between looks for messages whose job is gone
LONGEST_PAUSE = 30.0  # seconds between two attempts to reach the engine


class Dispatcher:
    """The relay's side of one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.transport = engine.make()
        self._alias = engine.database
        self._dialect = dialects.of(engine.database)
        self._threads = ThreadPoolExecutor(engine.publishers, "dbqueue-publisher")
        self._paused_until = self._pause = self._forget_at = 0.0
        self.track = TRACKS[engine.track](engine)
        self.reader = _reader(self.track, self.transport)
        self._rows = self.track.rows
        # Messages that the engine has for sure, as long as that is not written.
        self._confirmed: list[UUID] = []
        jobs = Job.objects.using(self._alias).ready()
        self._jobs = jobs.filter(queue_name=engine.queue)

    def step(self, *, publishing: bool = True) -> bool:
        """Publish what there is, if that is wanted; return whether there may be more at
        once.
        """
        self._confirm()
        if time.monotonic() >= self._forget_at:
            self._forget()
            self._forget_at = time.monotonic() + FORGET
        if not publishing or self._is_paused() or not self._is_reachable():
            return False
        # What seems lost may have ended, as a reply says that was not read yet.
        is_behind = self.reader is not None and self.reader.is_behind
        again = [] if is_behind else self._overdue()
        fresh = self._fresh(self._room())
        self._publish(again + fresh)
        return bool(again or fresh) and not self._paused_until

    def close(self) -> None:
        if self.reader is not None:
            self.reader.stop()
        self._threads.shutdown()
        self.transport.close()

    def _forget(self) -> None:
        """Delete what was published of jobs that do not wait any more."""
        waits = self._jobs.filter(pk=OuterRef("pk"))
        self._rows.filter(~Exists(waits)).delete()

    def _is_paused(self) -> bool:
        key = f"queue:{self.engine.queue}"
        return Pause.objects.using(self._alias).filter(pk=key).exists()

    def _is_reachable(self) -> bool:
        if time.monotonic() < self._paused_until:
            return False
        if self._paused_until:
            try:
                self.transport.health()
            except Exception as error:  # of whatever library the engine has
                self._back_off(error)
                return False
            self._paused_until = 0.0
        return True

    def _back_off(self, error: Exception) -> None:
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or 0.5)
        self._paused_until = time.monotonic() + self._pause
        logger.warning(
            "The engine of queue=%s cannot be reached, trying again in %.1f s: %s",
            self.engine.queue,
            self._pause,
            str(error) or repr(error.__cause__ or error),
        )

    def _room(self) -> int:
        """Return how many messages to publish: what may wait, and what may run."""
        most = self.engine.max_in_broker
        waiting = self._rows[:most].count()
        room = min(most - waiting, self.engine.batch)
        bound = conf.current().queues.get(self.engine.queue, {}).get("concurrency")
        if bound is not None:
            running = Job.objects.using(self._alias).running()
            busy = running.filter(queue_name=self.engine.queue).count()
            room = min(room, bound - busy - waiting)
        # The broker is only asked if something is to be published.
        if room <= 0 or not self._undispatched().exists():
            return 0
        try:
            depth = self.transport.depth()
        except Exception as error:  # of whatever library the engine has
            self._back_off(error)
            return 0
        return room if depth is None else max(0, min(room, most - depth))

    def _undispatched(self) -> Any:
        sent = Dispatch.objects.using(self._alias).filter(pk=OuterRef("pk"))
        return self.track.fitting(self._jobs.filter(~Exists(sent)))

    def _fresh(self, limit: int) -> list[Message]:
        """Return the first messages of jobs that have none, in the order of claims."""
        if limit <= 0:
            return []
        jobs = self._undispatched().order_by(*ORDER)
        found = self.track.read(jobs, limit)
        tokens = {uuid4(): job for job in found}
        expires_at = self._dialect.clock() + timedelta(seconds=PATIENCE)
        # Of two relays, the second writes no row for a job, and publishes nothing.
        Dispatch.objects.using(self._alias).bulk_create(
            [
                Dispatch(
                    job_id=job.id,
                    queue_name=job.queue,
                    token=token,
                    expires_at=expires_at,
                )
                for token, job in tokens.items()
            ],
            ignore_conflicts=True,
        )
        # Asked after that: one may have ended meanwhile, and its row gone.
        waits = Exists(self._jobs.filter(pk=OuterRef("pk")))
        ours = self._rows.filter(waits, token__in=list(tokens))
        written = set(ours.values_list("token", flat=True))
        return [
            self._message(job, token, 1)
            for token, job in tokens.items()
            if token in written
        ]

    def _overdue(self) -> list[Message]:
        """Return new messages of jobs whose last one counts as lost."""
        if not self._rows.overdue().exists():
            return []
        fit = self.track.fitting(self._jobs.filter(pk=OuterRef("pk")))
        with self._dialect.one_commit():
            rows = self._rows.overdue().filter(Exists(fit))
            locked = rows.select_for_update(skip_locked=True)
            late = list(locked.order_by("expires_at")[: self.engine.batch])
            waiting = self._jobs.filter(pk__in=[row.pk for row in late])
            jobs = {job.id: job for job in self.track.read(waiting, len(late))}
            late = [row for row in late if row.pk in jobs]
            expires_at = self._dialect.clock() + timedelta(seconds=PATIENCE)
            for row in late:
                row.number, row.token = row.number + 1, uuid4()
                self._rows.filter(pk=row.pk).update(
                    number=row.number,
                    token=row.token,
                    confirmed_at=None,
                    expires_at=expires_at,
                )
        for row in late:
            logger.warning(
                "Job id=%s was not started: published again, as number %d",
                row.pk,
                row.number,
            )
        return [self._message(jobs[row.pk], row.token, row.number) for row in late]

    def _message(self, job: Waiting, token: UUID, number: int) -> Message:
        return Message(
            id=job.id.hex,
            dispatch=number,
            token=token.hex,
            backend=self.engine.backend,
            queue=job.queue,
            task=job.task,
            expires=job.expires,
            timeout=_timeout(job),
            track=self.engine.track,
            call=job.call,
        )

    def _publish(self, messages: Sequence[Message]) -> None:
        """Publish in several threads at once; note what is confirmed, and what not."""
        if not messages:
            return
        count = min(self.engine.publishers, len(messages))
        parts = [messages[number::count] for number in range(count)]
        errors: dict[str, Exception] = {}
        for part, found in zip(parts, self._threads.map(self._try, parts), strict=True):
            pairs = zip(part, found, strict=True)
            errors |= {m.token: error for m, error in pairs if error is not None}
        sent = [UUID(m.token) for m in messages if m.token not in errors]
        if sent:
            self._pause = 0.0
            self._confirmed += sent
        self._confirm()
        if errors:
            self._back_off(next(iter(errors.values())))
            # What was perhaps lost: its next message makes this one count no more.
            soon = self._dialect.clock() + timedelta(seconds=self._pause)
            self._of(errors).update(expires_at=soon)

    def _try(self, messages: Sequence[Message]) -> list[Exception | None]:
        try:
            return self.transport.publish(messages)
        except Exception as error:  # of whatever library the engine has
            return [error] * len(messages)

    def _confirm(self) -> None:
        """Write which messages the engine has: what was not written comes again."""
        if self._confirmed:
            self.track.confirm(self._confirmed)
            self._confirmed = []

    def _of(self, tokens: Iterable[str]) -> Any:
        return self._rows.filter(token__in=[UUID(token) for token in tokens])


def _reader(track: FullTrack, transport: Transport) -> Reader | None:
    return Reader(track, transport) if isinstance(track, ResultTrack) else None


def _timeout(job: Waiting) -> float | None:
    try:
        task = registry.resolve(job.task)
    except (TaskNotAllowed, TaskNotFound):
        return None  # the engine's worker may know it
    return defaults.placed(task, job.queue, job.backend).seconds_allowed
