"""pgbouncer in transaction mode between everything and PostgreSQL."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.faults.server import binaries, free_port
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    ENQUEUER,
    ROOT,
    finished,
    reasons,
    scaled,
    send,
    wait_until,
    wait_until_empty,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
CONFIGURATION = """
[databases]
* = host={host} port={server_port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
ignore_startup_parameters = extra_float_digits,options
unix_socket_dir =
"""


@pytest.fixture
def pooler(only_postgres, database_address):
    """Start pgbouncer; return the DATABASE_URL that leads through it."""
    if PROGRAM is None:
        pytest.skip("NOT TESTED: a pooler. Install Debian's pgbouncer.")
    parts = urlsplit(database_address)
    host = parse_qs(parts.query).get("host", [parts.hostname])[0]
    port = free_port()
    folder = Path(mkdtemp(prefix="dbqueue-pgbouncer-", dir="/tmp"))
    folder.chmod(0o755)
    file = folder / "pgbouncer.ini"
    file.write_text(
        CONFIGURATION.format(
            host=host,
            server_port=parts.port or 5432,
            user=parts.username,
            port=port,
        )
    )
    _, user = binaries()  # who also may reach the server's socket
    process = subprocess.Popen(
        [PROGRAM, "-q", file], user=user, stdin=subprocess.DEVNULL
    )
    yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
    process.kill()
    process.wait()
    shutil.rmtree(folder)


@pytest.mark.parametrize("notify", [False, True])
def test_everything_works_through_a_pooler_in_transaction_mode(
    notify, pooler, start, run_worker, jobs, effects, measured
):
    settings = {"DBQUEUE": {"NOTIFY": notify}}
    count = scaled(100, 1000)
    jobs.many(tasks.work, [(i, 0.005) for i in range(count)])
    jobs.many(tasks.write_atomically_quickly, [(f"atomic {i}",) for i in range(10)])
    worker = run_worker("--processes", 3, database_url=pooler, settings=settings)
    enqueuer = start(
        [sys.executable, "-c", ENQUEUER],
        ["through ", scaled(50, 500)],
        database_url=pooler,
        settings=settings,
        PYTHONPATH=ROOT,
    )
    assert enqueuer.wait() == 0, enqueuer.output

    wait_until_empty(worker)

    jobs.check(at_rest=True)
    assert set(effects.counts().values()) == {1}
    done = finished(state="SUCCESSFUL", failures=0)
    assert done.count() == count + 10 + scaled(50, 500)
    began = time.monotonic()
    jobs.one(tasks.note, "idle")
    effects.wait_for("ended", "idle")
    what = f"an idle worker began after (NOTIFY {notify})"
    measured(what, time.monotonic() - began, at_most=3.0)
    assert "Traceback" not in worker.output
    assert "Database trouble" not in worker.output
    with psycopg.connect(pooler, autocommit=True) as stranger:
        for name in ("enable_seqscan", "idle_in_transaction_session_timeout"):
            query = "SELECT setting = reset_val FROM pg_settings WHERE name = %s"
            assert stranger.execute(query, [name], prepare=False).fetchone() == (True,)


def test_a_dead_childs_jobs_are_rescued_through_a_pooler(
    pooler, run_worker, jobs, effects, measured
):
    job = jobs.one(tasks.work, "long", 1.0)
    worker = run_worker(
        "--processes", 2, database_url=pooler, settings={"DBQUEUE": {"NOTIFY": False}}
    )
    (line,) = effects.wait_for("began")

    send(line["pid"], signal.SIGKILL)

    killed = time.monotonic()
    effects.wait_for("began", times=2)
    measured("ran again after", time.monotonic() - killed, at_most=2.0)
    wait_until(lambda: finished(pk=job.id).exists(), "it is finished")
    jobs.drained(worker)
    assert reasons(finished().get()) == ["lost"]
