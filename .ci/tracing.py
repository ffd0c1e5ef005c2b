"""The way of one enqueue() and of one whole job through dbqueue, on PostgreSQL."""

import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

HOUSE = f"{Path(__file__).resolve().parent.parent / 'dbqueue'}{os.sep}"
WARM_UP = 5  # jobs
PATIENCE = 10.0  # seconds for a job to end
# Seconds between two jobs: each enqueue() is to send a notification of its own.
PAUSE = 0.1
# Seconds between two looks of a worker that no keeper pokes: one round that is idle.
ROUND = 0.2


@dataclass
class Trail:
    """The modules of dbqueue that a thread was in, one after the other."""

    thread: str
    way: list[str] = field(default_factory=list)
    calls: int = 0  # of functions of dbqueue

    @property
    def modules(self) -> set[str]:
        return set(self.way)

    @property
    def hops(self) -> int:
        return max(0, len(self.way) - 1)


@dataclass
class Traced:
    surroundings: str
    enqueue: Trail
    worker: list[Trail]  # of its loop, and of the job's thread


class Recorder:
    """A profile function that follows each thread it is set for."""

    def __init__(self) -> None:
        self.on = False
        self.trails: dict[str, Trail] = {}

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if not self.on or event not in ("call", "return"):
            return
        thread = threading.current_thread().name
        trail = self.trails.setdefault(thread, Trail(thread))
        if event == "call" and is_ours(frame):
            trail.calls += 1
        running: FrameType | None = frame if event == "call" else frame.f_back
        # While other code runs that ours has called, the thread is where it was.
        while running and not is_ours(running):
            running = running.f_back
        if running and trail.way[-1:] != [module_of(running)]:
            trail.way.append(module_of(running))


def is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(HOUSE)


def module_of(frame: FrameType) -> str:
    path = frame.f_code.co_filename.removeprefix(HOUSE).removesuffix(".py")
    return path.removesuffix("/__init__").replace(os.sep, ".")


def traced() -> Traced:
    """Trace a job that is neither the first of its process nor of its connections."""
    with new_database() as server:
        import django

        recorder = Recorder()
        threading.setprofile(recorder)
        stop = start_a_worker()
        try:
            trace_a_job(recorder)
        finally:
            stop()
        versions = f"Python {platform.python_version()}, Django {django.__version__}"
    enqueue = recorder.trails.pop(threading.current_thread().name)
    return Traced(f"{versions}, {server}", enqueue, [*recorder.trails.values()])


def trace_a_job(recorder: Recorder) -> None:
    from dbqueue import enqueue

    noop = either("tests.support.tasks", "tests.tasks").noop
    for _ in range(WARM_UP):
        wait_for(enqueue(noop))
    recorder.on = True
    time.sleep(ROUND)
    sys.setprofile(recorder)
    result = enqueue(noop)
    sys.setprofile(None)
    wait_for(result)
    time.sleep(ROUND)
    recorder.on = False


def wait_for(result: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not result.is_finished:
        if time.monotonic() > deadline:
            raise TimeoutError("The worker does not come to the end of a job.")
        time.sleep(0.01)
        result.refresh()
    time.sleep(PAUSE)


def start_a_worker() -> Callable[[], None]:
    """Start a worker's loop in a thread; return what stops it."""
    from dbqueue.backend import DatabaseBackend
    from dbqueue.ids import uuid7
    from dbqueue.maintenance import leases
    from dbqueue.worker.loop.worker import Worker
    from dbqueue.worker.options import WorkerOptions
    from dbqueue.worker.shared import make_children

    options = WorkerOptions(database="default", sender=DatabaseBackend, threads=1)
    (child,) = make_children(1, options.threads + options.async_concurrency + 1)
    child.open(uuid7())
    leases.register(
        "default", child.worker_id, name="trace", host="", pid=1, queues="*", lease=60
    )
    child.beat = time.monotonic()
    worker = Worker(options, child)
    thread = threading.Thread(target=run_to_end, args=[worker.run], name="loop")
    thread.start()

    def stop() -> None:
        worker.stop()
        thread.join()

    return stop


def run_to_end(run: Callable[[], object]) -> None:
    from django.db import connections

    run()
    connections.close_all()


@contextmanager
def new_database() -> Iterator[str]:
    """Set Django up on a PostgreSQL with a new database; give the server's name."""
    databases = either("tests.support.databases", "tests.databases")
    with databases.postgres_url() as url:
        os.environ |= {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        import django
        from django.db import connection

        django.setup()
        name = connection.settings_dict["NAME"]
        connection.settings_dict["TEST"]["NAME"] = f"dbqueue_structure_{os.getpid()}"
        connection.creation.create_test_db(verbosity=0)
        try:
            version = connection.get_database_version()
            yield f"PostgreSQL {'.'.join(map(str, version))}"
        finally:
            connection.creation.destroy_test_db(name, verbosity=0)


def either(*names: str) -> ModuleType:
    """Import the first of the modules that is there."""
    for name in names[:-1]:
        with suppress(ModuleNotFoundError):
            return import_module(name)
    return import_module(names[-1])
