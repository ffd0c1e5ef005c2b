"""A process of an engine as a worker: its row, its lease, and what stops its jobs."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from django.db import Error, connections

from dbqueue import conf, dialects
from dbqueue.backend import DatabaseBackend
from dbqueue.dialects import hooks
from dbqueue.dialects.rows import Request
from dbqueue.ids import uuid7
from dbqueue.maintenance import leases
from dbqueue.maintenance.rescue import rescue
from dbqueue.models import Job
from dbqueue.models.worker import ENGINE
from dbqueue.relay.tracks.running import share_limits
from dbqueue.tasks import registry
from dbqueue.worker.loop.dispatch import COURTESY
from dbqueue.worker.loop.notes import Notes
from dbqueue.worker.process.connections import drop, prepare_sessions
from dbqueue.worker.run.deadlines import Deadlines, Running
from dbqueue.worker.run.holder import Holder
from dbqueue.worker.shared import make_children

logger = logging.getLogger(__name__)

PLACES = 1000  # jobs that may run at once in a process
TICK = 0.25  # seconds between looks at limits
LOOK = 1.0  # seconds between looks for cancelled jobs
# Heartbeats in one lease; and the share after which the lease is not trusted any more.
BEATS, TRUST = 6, 0.8
# Seconds without a job after which a process is not a worker any more.
IDLE = 20.0


class Host:
    """This process as a worker of one database, for as long as it has jobs to run.

    A thread renews its lease while jobs run, and asks those to stop that have run for
    too long, or are cancelled. One that does not stop costs the process, if the engine
    would start another one.
    """

    def __init__(self, backend: DatabaseBackend, queue: str) -> None:
        self.alias = backend.database
        self.pid = os.getpid()
        self.id: UUID = uuid7()
        self._queue = queue
        dialect = dialects.of(self.alias)
        self.notes = Notes(dialect, self.id)
        self.holder = Holder(
            worker_id=self.id,
            database=self.alias,
            sender=type(backend),
            record_now=dialect.record,
            note=self.notes.add,
        )
        (child,) = make_children(1, PLACES)
        self.deadlines = Deadlines(child, PLACES)
        share_limits(self.deadlines)
        self.ended = False
        # Whether it may hold a job that it does not know of: then it takes no more, and
        # others get what it holds when its own have ended.
        self.is_doubtful = False
        self._lease = conf.current().lease
        self._beat_at = 0.0  # when the last that arrived was sent, monotonic
        self._lock = threading.Lock()
        self._users = 0
        self._idle_since = time.monotonic()
        self._thread: threading.Thread | None = None

    def take(self) -> bool:
        """Have one more job begin here; return whether that is possible."""
        with self._lock:
            if self.ended or self.is_doubtful or self.pid != os.getpid():
                return False
            if self._thread is None:
                self._register()
                self._thread = threading.Thread(
                    target=self._watch, name="dbqueue-lease", daemon=True
                )
                self._thread.start()
            self._users += 1
            return True

    def release(self) -> None:
        """Note that a job has left that take() let in."""
        with self._lock:
            self._users -= 1
            self._idle_since = time.monotonic()

    def is_lost(self) -> bool:
        """Tell whether another worker may have the jobs by now."""
        return self.ended or time.monotonic() > self._beat_at + TRUST * self._lease

    def retire(self) -> None:
        """End as a worker. What it still holds goes to others."""
        self.ended = True
        with suppress(Error):  # its lease will run out
            leases.retire(self.alias, self.id)

    def _register(self) -> None:
        sent_at, host = time.monotonic(), socket.gethostname()
        leases.register(
            self.alias,
            self.id,
            name=f"engine {host}:{self.pid}",
            host=host,
            pid=self.pid,
            queues=self._queue,
            lease=self._lease,
            facts={"kind": ENGINE},
        )
        self._beat_at = sent_at

    def _watch(self) -> None:
        prepare_sessions()
        look_at = 0.0
        while not self.ended or self.deadlines.running:
            time.sleep(TICK)
            try:
                for entry in self.deadlines.interrupt_overdue():
                    self._give_up(entry)
                if not self.ended and time.monotonic() >= look_at:
                    look_at = time.monotonic() + LOOK
                    self._look()
                    self._leave_if_idle()
            except Exception as error:  # whatever it is: the next beat may arrive
                logger.warning("Heartbeat failed: %s", str(error).strip())
                with suppress(Exception):
                    drop(self.alias)
        connections.close_all()

    def _look(self) -> None:
        if time.monotonic() >= self._beat_at + self._lease / BEATS:
            sent_at = time.monotonic()
            if leases.heartbeat(self.alias, [self.id], lease=self._lease):
                logger.error("The lease ran out: other workers have the jobs")
                self.ended = True
                return
            self._beat_at = sent_at
        running = list(self.deadlines.running)
        if not running:
            return
        self.notes.flush_if_due(ending=False)
        for hook in hooks.now_and_then:
            hook(self.alias)
        rows = Job.objects.using(self.alias).held_by(self.id)
        asked = rows.filter(pk__in=running, cancelled_at__isnull=False)
        names = ("pk", "attempt", "task", "cancelled_by", "cancel_reason")
        for id, attempt, task, by, why in asked.values_list(*names):
            self._cancel(id, attempt, task, Request(by or "", why or ""))

    def _cancel(self, id: UUID, attempt: int, task: str, request: Request) -> None:
        if (id, attempt) in self.holder.cancelled:
            return
        self.holder.cancelled[id, attempt] = request
        known = registry.is_resolved(task)
        asks = known and registry.resolve(task).takes_context
        self.deadlines.cancel(id, COURTESY if asks else 0.0)

    def _give_up(self, entry: Running) -> None:
        """End the process for a job that does not stop; the engine makes another."""
        if not is_replaceable():
            return
        reason = "cancelled" if entry.is_cancelled else "timeout"
        logger.error(
            "Job id=%s does not stop (%s): ending its process", entry.job.id, reason
        )
        with suppress(Exception):
            rescue(self.alias, [entry.job.held_by(self.id)], reason=reason)
            leases.retire(self.alias, self.id)
        self.deadlines.end_programs(entry.job)
        os.kill(os.getpid(), signal.SIGKILL)

    def _leave_if_idle(self) -> None:
        with self._lock:
            patience = 0.0 if self.is_doubtful else IDLE
            if self._users or time.monotonic() < self._idle_since + patience:
                return
            self.ended = True
        self.retire()


_hosts: dict[str, Host] = {}
_hosts_lock = threading.Lock()


@contextmanager
def hosted(backend: DatabaseBackend, queue: str) -> Iterator[Host]:
    """Have this process be a worker of the backend's database inside the block."""
    with _hosts_lock:
        host = _hosts.get(backend.database)
        if host is None or not host.take():
            host = _hosts[backend.database] = Host(backend, queue)
            host.take()
    try:
        yield host
    finally:
        host.release()


def leave() -> None:
    """End this process as a worker, as the engine ends it."""
    for host in list(_hosts.values()):
        if host.pid == os.getpid() and not host.ended:
            host.retire()


def is_replaceable() -> bool:
    """Tell whether this is one of several processes that the engine's parent forks."""
    import multiprocessing

    if multiprocessing.parent_process() is not None:
        return True
    try:
        from billiard import process  # Celery's own multiprocessing
    except ImportError:
        return False
    return bool(process.current_process().name != "MainProcess")
