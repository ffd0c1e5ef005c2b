"""Workers for tests: led by hand, or run in a thread; and ears for signals."""

import time
from contextlib import contextmanager
from threading import Barrier, Thread

from django.db import connection, connections

from dbqueue import dialects
from dbqueue.backend import DatabaseBackend
from dbqueue.dialects.rows import Outcome
from dbqueue.dialects.scan import Scan
from dbqueue.ids import uuid7
from dbqueue.maintenance import leases
from dbqueue.tasks.registry import resolve
from dbqueue.worker.loop.worker import Worker
from dbqueue.worker.options import WorkerOptions
from dbqueue.worker.run.attempt import Attempt
from dbqueue.worker.run.holder import Holder
from dbqueue.worker.shared import make_children


class HandWorker:
    """Has a row among the workers, and makes each move only when told."""

    def __init__(self, *queues, exclude=(), lease=60, alias="default"):
        self.id = uuid7()
        self.alias = alias
        self.scan = Scan([[queue] for queue in queues or "*"], exclude)
        leases.register(
            alias, self.id, name="hand", host="here", pid=1, queues="*", lease=lease
        )

    @property
    def dialect(self):
        return dialects.of(self.alias)

    def claim(self, limit=1):
        return self.dialect.claim(self.scan, self.id, limit)

    def finish(self, job, state="SUCCESSFUL", result="null", **more):
        """End the job; return whether the claim still held."""
        return job in self._record([job], state, result=result, **more)

    def finish_all(self, jobs):
        """End the jobs in one statement; return those whose claim still held."""
        return self._record(jobs, "SUCCESSFUL", result="null")

    def release(self, job, **more):
        """Return the job to its queue; return whether the claim still held."""
        return job in self._record([job], "READY", **more)

    def note_progress(self, job, text):
        self.dialect.note_progress(self.id, [(job.id, job.attempt, text)])

    def run(self, job, **more):
        """Run the job here; return its outcome, None if that is committed."""
        return Attempt(job, resolve(job.task), self.holder(**more)).run_to_end()

    def holder(self, **more):
        return Holder(
            worker_id=self.id,
            database=self.alias,
            sender=DatabaseBackend,
            record_now=self.dialect.record,
            note=self.dialect.note_progress,
            **more,
        )

    def _record(self, jobs, state, **more):
        outcomes = [
            Outcome(id=job.id, attempt=job.attempt, state=state, gate=job.gate, **more)
            for job in jobs
        ]
        held = self.dialect.record(self.id, outcomes)
        return [job for job in jobs if job.id in held]


def drain(**options):
    """Run a real child, with its threads and its event loop, until nothing is left.

    Return why it ended.
    """
    given = WorkerOptions(
        database="default",
        sender=DatabaseBackend,
        drain=True,
        **{"threads": 2, "async_concurrency": 4, **options},
    )
    (child,) = make_children(1, given.threads + given.async_concurrency + 1)
    child.open(uuid7())
    leases.register(
        "default", child.worker_id, name="drain", host="", pid=1, queues="*", lease=60
    )
    child.beat = time.monotonic()
    (reason,) = together(Worker(given, child).run)
    leases.retire("default", child.worker_id)
    return reason


@contextmanager
def heard(*signals):
    """Collect (sender, task_result) of each time one of the signals is sent."""
    calls = []

    def hear(sender, task_result, **kwargs):
        calls.append((sender, task_result))

    for signal in signals:
        signal.connect(hear)
    try:
        yield calls
    finally:
        for signal in signals:
            signal.disconnect(hear)


def together(*functions):
    """Run each function in a thread of its own, begun at once; return the results.

    Each has real connections of its own. The first exception is raised here.
    """
    barrier, results, errors = Barrier(len(functions)), {}, []

    def run(place, function):
        try:
            barrier.wait()
            results[place] = function()
        except Exception as error:  # handed on below
            errors.append(error)
        finally:
            connections.close_all()

    threads = [Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[place] for place in range(len(functions))]


def waiting_for_locks():
    """Return how many sessions of the test's database wait for another one."""
    with connection.cursor() as cursor:
        # A transaction would see its first answer again and again.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0]
