"""The PostgreSQL server stops, dies, fills its disk, or hands over to its standby."""

import os
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

import pytest
from django.core.management import call_command
from django.db import Error, connections
from django.test import override_settings

from dbqueue import Every, enqueue
from dbqueue.schedules.models import Schedule
from tests.faults.disk import small_disk
from tests.faults.server import Server
from tests.settings import database
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    PATIENCE,
    finished,
    scaled,
    send,
    thorough,
    unfinished,
    wait_until,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

PATIENT = {"DBQUEUE": {"LEASE": 30.0}}
BACKEND = "dbqueue.backend.DatabaseBackend"


class ToOwnServer:
    """A router: the test asks where its workers work."""

    def db_for_read(self, model, **hints):
        return "own"

    db_for_write = db_for_read


@pytest.fixture
def folder(only_postgres):
    folder = Path(mkdtemp(prefix="dbqueue-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def serve(folder, only_postgres):
    """Return a function that makes a server and starts it."""
    servers = []

    def serve(name="data", parent=folder, **settings):
        home = parent / name
        home.mkdir(mode=0o700)
        server = Server(home, **settings)
        server.give(home)
        servers.append(server)
        return server

    yield serve
    for server in servers:
        if server.is_running():
            server.stop("immediate")


@pytest.fixture(scope="module", autouse=True)
def own_alias():
    """Have an alias "own", with nothing behind it yet: Django must know it early."""
    connections.settings["own"] = dict(connections.settings["other"])
    yield
    del connections["own"], connections.settings["own"]


@pytest.fixture
def use(transactional_db, witness):
    """Return a function that lets the test, like its workers, use another database."""
    witness.looks_away = True
    overridden = []
    placeholder = connections.settings["own"]

    def use(**entry):
        move_own_to({**connections.settings["default"], **entry})
        call_command("migrate", database="own", verbosity=0)
        backend = {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": {"database": "own"}}
        routers = [ToOwnServer()]
        change = override_settings(TASKS={"default": backend}, DATABASE_ROUTERS=routers)
        change.enable()
        overridden.append(change)

    yield use
    for change in overridden:
        change.disable()
    move_own_to(placeholder)


def move_own_to(settings):
    connections["own"].close()
    del connections["own"]
    connections.settings["own"] = settings


@pytest.fixture
def own_server(serve, use):
    server = serve().create().start()
    use(**database(server.url))
    return server


def ask(question):
    """Ask the own server, through whatever connection there can be."""

    def asked():
        try:
            return question()
        except Error:
            connections["own"].close()
            return None

    return asked


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("fast", marks=thorough),
        pytest.param("immediate", marks=thorough),
        "kill",
    ],
)
def test_a_drain_survives_servers_that_stop_again_and_again(
    mode, own_server, run_worker, jobs, effects, measured
):
    count, times = scaled(300, 3000), scaled(2, 10)
    jobs.many(tasks.work, [(i, 0.01) for i in range(count)])
    worker = run_worker("--processes", 2, database_url=own_server.url, settings=PATIENT)
    pauses = []
    for stop in range(1, times + 1):
        effects.wait_for("ended", times=count * stop // (times + 2))
        connections["own"].close()
        told = worker.output.count("trouble")
        own_server.stop(mode)
        wait_until(lambda: worker.output.count("trouble") > told, "it is told")  # noqa: B023
        done = len(effects.all("ended"))
        own_server.start()
        back = time.monotonic()
        effects.wait_for("ended", times=done + 1)
        pauses.append(time.monotonic() - back)

    wait_until(
        ask(lambda: finished().count() == count), "all are finished", 2 * PATIENCE
    )

    measured(f"stopped ({mode})", times, "times")
    measured("jobs ended again after, at most", max(pauses), at_most=5.0)
    jobs.check()
    assert effects.counts() == dict.fromkeys(range(count), 1)
    assert finished(state="SUCCESSFUL", failures=0).count() == count
    assert worker.process.poll() is None


@thorough
def test_a_full_disk_stops_work_until_there_is_room(
    serve, use, run_worker, jobs, effects, measured, folder
):
    with small_disk(folder, mebibytes=160) as disk:
        disk.path.chmod(0o755)
        server = serve(parent=disk.path, wal_level="minimal", max_wal_senders=0)
        server.create().start()
        use(**database(server.url))
        count = 2000
        jobs.many(tasks.work, [(i, 0.005) for i in range(count)])
        worker = run_worker(database_url=server.url, settings=PATIENT)
        effects.wait_for("ended", times=100)

        disk.fill()
        write_until_refused()
        with pytest.raises(Error):  # whoever enqueues is told
            enqueue_on_and_on()
        connections["own"].close()
        worker.wait_for_output("trouble")
        disk.make_room()
        if not server.is_running():
            server.start()

        ended = finished(task=tasks.work.module_path)
        wait_until(ask(lambda: ended.count() == count), "all are finished")
        jobs.check()
        ran = {key: n for key, n in effects.counts().items() if isinstance(key, int)}
        assert ran == dict.fromkeys(range(count), 1)
        server.stop()


def enqueue_on_and_on():
    while True:
        enqueue(tasks.note, os.urandom(50_000).hex())


def write_until_refused():
    """Bring the server to the end of its disk, which may be the end of it."""
    with suppress(Error), connections["own"].cursor() as cursor:
        cursor.execute("CREATE TABLE ballast (filling text)")
        while True:
            cursor.execute(
                "INSERT INTO ballast SELECT repeat(md5(i::text), 200)"
                " FROM generate_series(1, 2000) AS i"
            )
    connections["own"].close()


@thorough
def test_a_promoted_standby_is_used_without_a_restart_of_the_worker(
    serve, use, run_worker, jobs, effects, measured
):
    primary = serve(
        "primary", synchronous_commit="on", wal_level="replica", max_wal_senders=5
    )
    primary.create().start()
    standby = serve("standby").create_standby_of(primary).start()
    commit_on_both(primary)
    pair = either_of(primary, standby)
    use(**pair)
    count = scaled(300, 1000)
    jobs.many(tasks.work, [(i, 0.02) for i in range(count)])
    worker = run_worker("--processes", 2, settings={"DATABASES": {"default": pair}})
    effects.wait_for("ended", times=count // 4)

    connections["own"].close()
    primary.kill()
    worker.wait_for_output("trouble")
    done = len(effects.all("ended"))
    standby.promote()

    promoted = time.monotonic()
    effects.wait_for("ended", times=done + 1)
    seconds = time.monotonic() - promoted
    measured("jobs ended again after the promotion", seconds, at_most=5.0)
    wait_until(ask(lambda: finished().count() == count), "all are finished")
    jobs.check()
    assert finished(state="SUCCESSFUL").count() == count
    assert worker.process.poll() is None


@thorough
@pytest.mark.parametrize("catch_up", ["last", "none"])
def test_a_standby_that_lacks_the_latest_fires_one_tick_of_a_schedule_again_at_most(
    catch_up, serve, use, run_worker, effects
):
    primary = serve("primary", wal_level="replica", max_wal_senders=5)
    primary.create().start()
    standby = serve("standby").create_standby_of(primary).start()
    pair = either_of(primary, standby)
    use(**pair)
    worker = run_worker(settings={"DATABASES": {"default": pair}, **PATIENT})
    wait_until(lambda: worker.children(), "it works")
    # One tick of each comes soon, but not before the standby has them; the next one in
    # ten minutes.
    soon = Every(600, offset=(time.time() + 20) // 1 % 600)
    path = tasks.note_tick.module_path
    Schedule.objects.bulk_create(
        Schedule(name=f"s{number}", task=path, cadence=soon, catch_up=catch_up)
        for number in range(20)
    )
    sender = wait_until(lambda: has_received_all(primary), "the standby has them")
    send(sender, signal.SIGSTOP)
    effects.wait_for("ended", times=20)
    wait_until(lambda: not unfinished().exists(), "they have ended there")

    connections["own"].close()
    primary.kill()
    standby.promote()
    effects.wait_for("ended", times=40)
    wait_until(ask(lambda: not unfinished().exists()), "they have ended here")

    assert Counter(effects.counts().values()) == {2: 20}
    assert finished().count() == 20
    assert set(Schedule.objects.values_list("runs", flat=True)) == {1}


def either_of(primary, standby):
    """Return the settings of a database that is whichever of both may be written."""
    return database(primary.url) | {
        "HOST": "127.0.0.1,127.0.0.1",
        "PORT": f"{primary.port},{standby.port}",
        "OPTIONS": {"target_session_attrs": "read-write", "connect_timeout": 2},
    }


def has_received_all(primary):
    """Return the process that sends to the standby, once it has nothing to send."""
    import psycopg

    with psycopg.connect(primary.url, autocommit=True) as session:
        row = session.execute(
            "SELECT pid FROM pg_stat_replication"
            " WHERE replay_lsn >= pg_current_wal_flush_lsn()"
        ).fetchone()
    return row and row[0]


def commit_on_both(primary):
    """Let the primary wait for its standby at each commit: nothing may be lost."""
    import psycopg

    with psycopg.connect(primary.url, autocommit=True) as session:
        wait_until(
            lambda: session.execute("SELECT 1 FROM pg_stat_replication").fetchone(),
            "the standby streams",
        )
        session.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        session.execute("SELECT pg_reload_conf()")
