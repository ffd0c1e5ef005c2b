"""A process of an engine that does not read the rows: it runs jobs, and replies."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from dbqueue.backend import backend_of
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.exceptions import (
    AtomicUnavailable,
    ClaimLost,
    TaskNotAllowed,
    TaskNotFound,
)
from dbqueue.ids import uuid7
from dbqueue.jobs import outcomes
from dbqueue.relay.engines import Engine, engine_of
from dbqueue.relay.messages import Message
from dbqueue.relay.tracks import calling, replies, running
from dbqueue.relay.tracks.hosting import is_replaceable
from dbqueue.relay.tracks.replies import Reply
from dbqueue.worker.run.deadlines import Deadlines, Running
from dbqueue.worker.run.holder import Holder, ProgressNotes
from dbqueue.worker.shared import make_children

logger = logging.getLogger(__name__)

STALE = "stale"  # what becomes of a message that starts nothing
PLACES = 1000  # jobs that may run at once in a process
TICK = 0.25  # seconds between looks at limits, and at progress
BEATS = 6  # replies in a lease that say that the process is alive
# Seconds without a job after which a process is not a worker any more.
IDLE = 20.0
LONGEST_PAUSE = 5.0  # seconds between two attempts to reply


class Post:
    """This process as a worker of one engine, for as long as it has jobs to run.

    A thread says that it is alive while jobs run, and asks those to stop that have run
    for too long. One that does not stop costs the process, if the engine would start
    another one.
    """

    def __init__(self, engine: Engine) -> None:
        self.id, self.pid = uuid7(), os.getpid()
        self._engine = engine
        self._transport = engine.make()
        self.holder = Holder(
            worker_id=self.id,
            database=engine.database,
            sender=type(backend_of(engine.backend)),
            record_now=calling.refuse_end,
            note=self._note,
        )
        (child,) = make_children(1, PLACES)
        self.deadlines = Deadlines(child, PLACES)
        running.share_limits(self.deadlines)
        self.ended = False
        self._progress: dict[tuple[UUID, int], str] = {}
        # The jobs that it is running, or whose ends it still has to reply.
        self._held: dict[UUID, Message] = {}
        self._beat_at = time.monotonic()
        self._lock = threading.Lock()
        self._users = 0
        self._idle_since = time.monotonic()
        self._thread: threading.Thread | None = None

    def take(self, message: Message) -> bool:
        """Have the job of a message begin here; return whether that is possible.

        It is not as long as the job runs here by another message, which may be lost by
        now: its limit, and what is told of it, go by its id.
        """
        id = UUID(message.id)
        with self._lock:
            if self.ended or self.pid != os.getpid() or id in self._held:
                return False
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, name="dbqueue-replies", daemon=True
                )
                self._thread.start()
            self._held[id] = message
            self._users += 1
            return True

    def release(self, message: Message) -> None:
        """Note that a job has left that take() let in."""
        with self._lock:
            self._held.pop(UUID(message.id), None)
            self._users -= 1
            self._idle_since = time.monotonic()

    def is_running(self, message: Message) -> bool:
        """Tell whether this very message has a job run here."""
        known = self._held.get(UUID(message.id))
        return known is not None and known.token == message.token

    def run(self, message: Message) -> Outcome:
        """Run the job of a message; reply that it starts, and how it has ended."""
        job = calling.job_of(message)
        try:
            with suppress(Exception):  # of any broker's library: its end says it, too
                self._transport.reply([self._of(replies.STARTED, message).as_json()])
            outcome = self._outcome(job, message)
            self._reply_end(self._ending(message, outcome))
            return outcome
        finally:
            self._progress.pop((job.id, job.attempt), None)

    def leave(self) -> None:
        """End as a worker; its lease runs out if that cannot be said."""
        self.ended = True
        with suppress(Exception):  # of any broker's library
            self._transport.reply([self._say(replies.LEFT).as_json()])
            self._transport.close()

    def _outcome(self, job: ClaimedJob, message: Message) -> Outcome:
        try:
            calling.task_of(message)
        except AtomicUnavailable as error:
            return self.holder.refuse(job, error)
        except (TaskNotAllowed, TaskNotFound):
            pass  # run() says what becomes of it
        outcome = running.run(job, self)
        if outcome is None:  # else it would be run again and again
            lost = ClaimLost("The job raised ClaimLost, and no claim is held here.")
            return self.holder.refuse(job, lost)
        return outcome

    def _note(self, worker_id: UUID, notes: ProgressNotes) -> None:
        self._progress |= {(id, attempt): text for id, attempt, text in notes}

    def _reply_end(self, reply: Reply) -> None:
        """Reply it for as long as nobody else may have the job.

        While the engine cannot be reached, no relay counts how long this is silent.
        """
        until, pause = time.monotonic() + self._engine.lease, 0.1
        while True:
            try:
                return self._transport.reply([reply.as_json()])
            except Exception as error:  # of any broker's library
                if time.monotonic() > until:
                    raise
                logger.warning("Job id=%s has ended, unsaid: %s", reply.id, error)
            if not self._is_reachable():
                until = time.monotonic() + self._engine.lease
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    def _is_reachable(self) -> bool:
        try:
            self._transport.health()
        except Exception:  # of any broker's library
            return False
        return True

    def _watch(self) -> None:
        while not self.ended or self.deadlines.running:
            time.sleep(TICK)
            for entry in self.deadlines.interrupt_overdue():
                self._give_up(entry)
            try:
                self._beat_if_due()
            except Exception as error:  # of any broker's library: the next may arrive
                logger.warning("The relay was not told of progress: %s", error)
            self._leave_if_idle()

    def _beat_if_due(self) -> None:
        due = time.monotonic() >= self._beat_at + self._engine.lease / BEATS
        progress = dict(self._progress)
        if not progress and not (due and self._held):
            return
        messages = [(m, m.call) for m in list(self._held.values())]
        held = [(m.id, call.attempt, m.token) for m, call in messages if call]
        notes = [(id.hex, attempt, text) for (id, attempt), text in progress.items()]
        beat = self._say(replies.ALIVE, running=held, progress=notes)
        self._transport.reply([beat.as_json()])
        self._beat_at = time.monotonic()
        for key, text in progress.items():
            if self._progress.get(key) == text:
                self._progress.pop(key, None)

    def _give_up(self, entry: Running) -> None:
        """End the process for a job that does not stop; the engine makes another."""
        if not is_replaceable():
            return
        job = entry.job
        logger.error("Job id=%s does not stop: ending its process", job.id)
        outcome = outcomes.rescued(job.held_by(self.id), "timeout")
        with suppress(Exception):  # of any broker's library: its lease runs out
            ending = self._ending(self._held[job.id], outcome)
            self._transport.reply([ending.as_json()])
        self.deadlines.end_programs(job)
        os.kill(os.getpid(), signal.SIGKILL)

    def _leave_if_idle(self) -> None:
        with self._lock:
            if self._users or time.monotonic() < self._idle_since + IDLE:
                return
            self.ended = True
        self.leave()

    def _ending(self, message: Message, outcome: Outcome) -> Reply:
        return self._of(replies.ENDED, message, outcome=replies.sent(outcome))

    def _of(self, kind: str, message: Message, **more: Any) -> Reply:
        assert message.call is not None  # as job_of() has seen
        which = {"id": message.id, "token": message.token}
        return self._say(kind, attempt=message.call.attempt, **which, **more)

    def _say(self, kind: str, **more: Any) -> Reply:
        host = socket.gethostname()
        return Reply(kind=kind, worker=self.id.hex, host=host, pid=self.pid, **more)


_posts: dict[tuple[str, str], Post] = {}
_posts_lock = threading.Lock()


def run(message: Message) -> str:
    """Run the job of a message, and reply; return the state that it asks for.

    STALE if the message has come once more while its job runs here.
    """
    with _posted(message) as post:
        return STALE if post is None else str(post.run(message).state)


@contextmanager
def _posted(message: Message) -> Iterator[Post | None]:
    """Have this process be a worker of the message's engine inside the block."""
    key = message.backend, message.queue
    with _posts_lock:
        post = _posts.get(key)
        is_known = post is not None and post.is_running(message)
        if not is_known and (post is None or not post.take(message)):
            post = _posts[key] = Post(engine_of(*key))
            post.take(message)
    if post is None or is_known:
        yield None
        return
    try:
        yield post
    finally:
        post.release(message)


def leave() -> None:
    """End this process as a worker, as the engine ends it."""
    for post in list(_posts.values()):
        if post.pid == os.getpid() and not post.ended:
            post.leave()
