"""Publishes a message of each job that waits in an engine's queue."""

import logging
import time
from collections.abc import Iterable, Sequence
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
from dbqueue.relay.publishing import Publishing
from dbqueue.relay.tracks import TRACKS, rows
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
REFUSED = 600.0  # seconds until a message is tried again that the engine has refused
ROUND = 1.0  # seconds of publishing before other engines, and duties, have their turn
LONGEST_PAUSE = 30.0  # seconds between two attempts to reach the engine


class Dispatcher:
    """The relay's side of one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.transport = engine.make()
        self._alias = engine.database
        self._dialect = dialects.of(engine.database)
        self._publishing = Publishing(self.transport, engine.publishers)
        self._paused_until = self._pause = self._forget_at = 0.0
        # Why the engine cannot be reached, while it cannot.
        self.trouble: Exception | None = None
        # Whether there was as much to publish as was asked for.
        self._is_filled = False
        self.track = TRACKS[engine.track](engine)
        self.reader = _reader(self.track, self.transport)
        self._rows = self.track.rows
        # Messages that the engine has for sure, as long as that is not written.
        self._confirmed: list[rows.Pair] = []
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
        return self._publish_all(time.monotonic() + ROUND) and not self._paused_until

    def close(self) -> None:
        if self.reader is not None:
            self.reader.stop()
        self._publishing.end()
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
            self._paused_until, self.trouble = 0.0, None
        return True

    def _back_off(self, error: Exception) -> None:
        self.trouble = error
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or 0.5)
        self._paused_until = time.monotonic() + self._pause
        logger.warning(
            "The engine of queue=%s cannot be reached, trying again in %.1f s: %s",
            self.engine.queue,
            self._pause,
            reason(error),
        )

    def _next(self) -> list[Message]:
        """Return what is to be published next; its rows are written."""
        room = self._room()
        # What seems lost may have ended, as a reply says that was not read yet.
        is_behind = self.reader is not None and self.reader.is_behind
        is_late = not is_behind and self._rows.overdue().exists()
        is_waiting = room > 0 and (self._is_filled or self._undispatched().exists())
        # The broker is only asked if something is to be published.
        free = self._free() if is_late or is_waiting else 0
        again = self._overdue(free) if is_late and free else []
        room = min(room, free - len(again))
        fresh = self._fresh(room) if is_waiting and room > 0 else []
        self._is_filled = 0 < room == len(fresh)
        return again + fresh

    def _room(self) -> int:
        """Return how many jobs may have a message more, and how many may run."""
        most = self.engine.max_in_broker
        waiting = self._rows.filter(refusal="")[:most].count()
        room = most - waiting
        bound = conf.current().queues.get(self.engine.queue, {}).get("concurrency")
        if bound is not None:
            running = Job.objects.using(self._alias).running()
            busy = running.filter(queue_name=self.engine.queue).count()
            room = min(room, bound - busy - waiting)
        return room

    def _free(self) -> int:
        """Return how many messages the engine has room for, at most a batch."""
        try:
            depth = self.transport.depth()
        except Exception as error:  # of whatever library the engine has
            self._back_off(error)
            return 0
        free = self.engine.max_in_broker - (depth or 0) - self._publishing.under_way
        return max(0, min(free, self.engine.batch))

    def _undispatched(self) -> Any:
        sent = Dispatch.objects.using(self._alias).filter(pk=OuterRef("pk"))
        return self.track.fitting(self._jobs.filter(~Exists(sent)))

    def _fresh(self, limit: int) -> list[Message]:
        """Return the first messages of jobs that have none, in the order of claims."""
        jobs = self._undispatched().order_by(*ORDER)
        tokens = {job.id: (job, uuid4()) for job in self.track.read(jobs, limit)}
        pairs = [(id, token) for id, (_, token) in tokens.items()]
        # Of two relays, the second writes no row for a job, and publishes nothing.
        written = rows.write(self._dialect, self.engine.queue, pairs, PATIENCE)
        return [
            self._message(job, token, 1)
            for job, token in tokens.values()
            if token in written
        ]

    def _overdue(self, limit: int) -> list[Message]:
        """Return new messages of jobs whose last one counts as lost."""
        fit = self.track.fitting(self._jobs.filter(pk=OuterRef("pk")))
        with self._dialect.one_commit():
            rows = self._rows.overdue().filter(Exists(fit))
            locked = rows.select_for_update(skip_locked=True)
            late = list(locked.order_by("expires_at")[:limit])
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
            if not row.refusal:
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

    def _publish_all(self, until: float) -> bool:
        """Publish batches until that moment; return whether there were any.

        While one is published, the rows of the one before and of the next are written.
        """
        found = False
        try:
            while messages := self._next():
                found = True
                self._settle()
                if self._paused_until:
                    self._put_off(messages)
                    break
                self._publishing.begin(messages)
                self._confirm()
                if not self._is_filled or time.monotonic() > until:
                    break
        finally:
            self._settle()
        self._confirm()
        return found

    def _settle(self) -> None:
        """Wait until what was begun has been published; note what has come."""
        found = self._publishing.settled()
        self._confirmed += map(_pair, found.sent)
        if found.sent or found.refused:
            self._pause = 0.0
        if found.cause is not None:
            self._back_off(found.cause)
            self._put_off(found.lost)
        for message, refusal in found.refused:
            self._refuse(message, str(refusal))

    def _put_off(self, messages: Sequence[Message]) -> None:
        """Have what was perhaps lost published again soon: these count no more then."""
        soon = self._dialect.clock() + timedelta(seconds=self._pause)
        self._of(messages).update(expires_at=soon)

    def _refuse(self, message: Message, why: str) -> None:
        """Leave a message that the engine does not take to a later time."""
        logger.error(
            "The engine of queue=%s does not take the message of job id=%s, trying "
            "again in %d s: %s",
            self.engine.queue,
            UUID(message.id),
            REFUSED,
            why,
        )
        later = self._dialect.clock() + timedelta(seconds=REFUSED)
        self._of([message]).update(refusal=why, expires_at=later)

    def _confirm(self) -> None:
        """Write which messages the engine has: what was not written comes again."""
        if self._confirmed:
            self.track.confirm(self._confirmed)
            self._confirmed = []

    def _of(self, messages: Iterable[Message]) -> Any:
        ids, tokens = zip(*map(_pair, messages), strict=True)
        return self._rows.filter(pk__in=ids, token__in=tokens)


def reason(error: Exception) -> str:
    """Return what an error says, whatever library it is of."""
    return str(error) or repr(error.__cause__ or error)


def _pair(message: Message) -> rows.Pair:
    return UUID(message.id), UUID(message.token)


def _reader(track: FullTrack, transport: Transport) -> Reader | None:
    return Reader(track, transport) if isinstance(track, ResultTrack) else None


def _timeout(job: Waiting) -> float | None:
    try:
        task = registry.resolve(job.task)
    except (TaskNotAllowed, TaskNotFound):
        return None  # the engine's worker may know it
    return defaults.placed(task, job.queue, job.backend).seconds_allowed
