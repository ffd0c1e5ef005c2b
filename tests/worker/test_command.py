"""The options of runworker, and what it says to a mistake."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection, transaction

from dbqueue import enqueue, enqueue_many
from dbqueue.models import Worker
from tests.settings import url
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    MANAGE,
    ROOT,
    finished,
    once,
    send,
    thorough,
    unfinished,
    wait_until,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [pytest.mark.django_db(transaction=True), once]

OURS = {"BACKEND": "dbqueue.backend.DatabaseBackend"}


@pytest.fixture
def empty_database_url(transactional_db, tmp_path):
    """Return the DATABASE_URL of a database without any table."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.sqlite3"
        return
    name = f"{connection.settings_dict['NAME']}_empty"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    yield url({**connection.settings_dict, "NAME": name})
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def migrate(database_url):
    environment = {**os.environ, "DATABASE_URL": database_url}
    subprocess.run(
        [sys.executable, MANAGE, "migrate", "-v", "0"], env=environment, check=True
    )


def assert_refused(worker, *texts):
    assert worker.wait() == 1
    for text in texts:
        assert text in worker.output
    assert "Traceback" not in worker.output


# What it is told


@pytest.mark.parametrize("task", [tasks.note, tasks.write_atomically_quickly])
def test_a_child_is_replaced_after_max_jobs(task, run_worker, effects):
    enqueue_many(task, [(i,) for i in range(20)])
    worker = run_worker("--drain", "--max-jobs", 5, "--threads", 2)

    assert worker.wait() == 0

    assert effects.counts() == dict.fromkeys(range(20), 1)
    by_child = {}
    for line in effects.all("ended"):
        by_child.setdefault(line["pid"], []).append(line["key"])
    assert [len(keys) for keys in by_child.values()] == [5, 5, 5, 5]


def test_a_child_is_replaced_when_it_has_grown(run_worker, effects, real_start):
    enqueue_many(tasks.grow, [(i, 100) for i in range(4)])
    worker = run_worker("--drain", "--max-rss", 180, "--threads", 1)

    assert worker.wait() == 0

    assert effects.counts() == dict.fromkeys(range(4), 1)
    assert 2 <= len(effects.pids()) <= 4


@thorough
def test_a_limit_below_what_a_child_needs_at_least_lets_it_work(run_worker, effects):
    worker = run_worker("--max-rss", 1, "--threads", 1)
    seen = set()
    for i in range(5):
        enqueue(tasks.note, i)
        while not effects.all("ended", i):
            seen |= worker.family()

    assert worker.stop() == 0
    assert len(seen) <= 10


def test_a_worker_that_exits_at_max_jobs_stops_all_its_children(run_worker, effects):
    enqueue_many(tasks.note, [(i,) for i in range(20)])
    worker = run_worker("--max-jobs", 5, "--exit-at-max", "--processes", 2)

    assert worker.wait() == 0

    assert 5 <= finished().count() <= 10
    assert finished().count() + unfinished(state="READY").count() == 20


@pytest.mark.parametrize(
    ("task", "code"),
    [(tasks.fail, 4), (tasks.kill_itself, 4), (tasks.note, 0)],
)
def test_the_exit_code_of_a_drain_tells_of_failures(run_worker, effects, task, code):
    enqueue(task, "this")
    unfinished().update(max_attempts=1)
    enqueue(tasks.note, "another")

    worker = run_worker("--drain", "--fail-on-failure")

    assert worker.wait() == code
    effects.wait_for("ended", "another")


@once
def test_exiting_at_a_maximum_needs_one(run_worker):
    worker = run_worker("--exit-at-max")

    assert_refused(worker, "--exit-at-max needs --max-jobs or --max-rss.")


def test_the_first_lines_tell_where_a_worker_looks_and_what_waits_there(
    run_worker, witness
):
    witness.looks_away = True  # one is left
    for queue in ("default", "default", "mail"):
        enqueue(tasks.note.using(queue_name=queue), queue)

    worker = run_worker("--drain", "--queues", "default")

    assert worker.wait() == 0
    name = Path(connection.settings_dict["NAME"]).name
    for words in (
        "settings tests.support.worker_settings\n",
        "database 'default' (",
        name,
        "queues default\n",
        "waiting: 2 in default, 1 in mail (not taken here)\n",
    ):
        assert words in worker.output


@once
def test_the_health_file_is_touched_again_and_again(run_worker, tmp_path):
    health = tmp_path / "health"
    worker = run_worker("--health-file", health, settings={"DBQUEUE": {"LEASE": 6.0}})
    first = wait_until(lambda: health.exists() and health.stat().st_mtime_ns, "touched")

    wait_until(lambda: health.stat().st_mtime_ns > first, "it is touched again")

    assert worker.stop() == 0


@once
def test_a_health_file_that_cannot_be_written_is_told(run_worker, tmp_path):
    worker = run_worker("--health-file", tmp_path / "nowhere" / "health")

    assert_refused(worker, "nowhere")


@once
def test_a_health_file_that_cannot_be_written_any_more_stops_no_job(
    run_worker, effects, tmp_path
):
    folder = tmp_path / "run"
    folder.mkdir()
    worker = run_worker(
        "--health-file", folder / "health", settings={"DBQUEUE": {"LEASE": 6.0}}
    )
    wait_until((folder / "health").exists, "it is touched")
    keeper = wait_until(worker.keeper, "there is a keeper")
    (folder / "health").unlink()
    folder.rmdir()
    seen = Worker.objects.get().last_seen
    wait_until(lambda: Worker.objects.get().last_seen > seen, "it beats")
    enqueue(tasks.note, "after")

    effects.wait_for("ended", "after")

    assert worker.keeper() == keeper
    assert "Traceback" not in worker.output


def test_two_workers_with_the_same_name_both_work(run_worker, effects, tmp_path):
    leave = tmp_path / "leave"
    first = run_worker("--worker-name", "twin", "--threads", 1)
    first.wait_until_working()
    second = run_worker("--worker-name", "twin", "--threads", 1)
    second.wait_until_working()

    enqueue_many(tasks.work_until, [(i, str(leave)) for i in range(2)])

    effects.wait_for("began", times=2)
    leave.touch()
    effects.wait_for("ended", times=2)
    assert len(effects.pids()) == 2
    assert set(Worker.objects.values_list("name", flat=True)) == {"twin"}
    assert "worker twin" in first.output
    assert "Another worker is called 'twin'" in second.output


@thorough
def test_the_row_of_a_worker_goes_when_it_stops(run_worker):
    worker = run_worker("--processes", 2)
    worker.wait_until_working(2)

    assert worker.stop() == 0

    assert not Worker.objects.exists()


@thorough
def test_verbosity_0_says_nothing_of_jobs_and_1_a_line_for_each(run_worker, effects):
    for verbosity, lines in (("0", 0), ("1", 3)):
        enqueue_many(tasks.note, [(f"{verbosity} {i}",) for i in range(3)])
        worker = run_worker("--drain", "-v", verbosity)
        assert worker.wait() == 0
        assert worker.output.count("state=SUCCESSFUL") == lines


@once
def test_a_level_that_logging_sets_stays(run_worker, effects):
    enqueue(tasks.note, "quiet")
    level = {"version": 1, "loggers": {"dbqueue": {"level": "ERROR"}}}
    worker = run_worker("--drain", "-v", 2, settings={"LOGGING": level})

    assert worker.wait() == 0

    assert finished().count() == 1
    assert "state=SUCCESSFUL" not in worker.output


# What it cannot do


@once
def test_a_queue_that_does_not_exist_is_refused(run_worker):
    tasks_setting = {"default": {**OURS, "QUEUES": ["default", "mail"]}}
    worker = run_worker("--queues", "mial", settings={"TASKS": tasks_setting})

    assert_refused(worker, "No queue is called 'mial'. Did you mean 'mail'?")


@once
@pytest.mark.parametrize("more", [(), ("--queues", "mail")])
def test_a_worker_that_would_serve_no_queue_is_refused(run_worker, more):
    worker = run_worker("--exclude", "*", *more)

    assert_refused(worker, "--exclude '*' leaves no queue to serve.")


@once
@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\tb", "x" * 256])
def test_a_name_that_no_list_can_show_is_refused(run_worker, name):
    worker = run_worker("--worker-name", name)

    assert_refused(worker, "--worker-name '", "must be printable, and have at most 255")


WRONG_SETTINGS = {
    "Did you mean 'LEASE'?": {"DBQUEUE": {"LEESE": 1}},
    "'LEASE'] is '1'": {"DBQUEUE": {"LEASE": "1"}},
    "'LEASE'] is 0": {"DBQUEUE": {"LEASE": 0}},
    "No entry of TASKS": {"TASKS": {}},
    "Did you mean 'database'?": {
        "TASKS": {"default": {**OURS, "OPTIONS": {"databse": "default"}}}
    },
}
WRONG_ARGUMENTS = {
    "--threads": "0",
    "--processes": "-1",
    "--queues": " , ",
    "--max-jobs": "many",
    "--grace": "-1",
}


@once
def test_settings_with_a_mistake_are_refused(run_worker):
    workers = {
        text: run_worker(settings=settings) for text, settings in WRONG_SETTINGS.items()
    }

    for text, worker in workers.items():
        assert_refused(worker, text)


@once
def test_arguments_with_a_mistake_are_refused(run_worker):
    workers = {name: run_worker(name, value) for name, value in WRONG_ARGUMENTS.items()}

    for name, worker in workers.items():
        assert worker.wait() == 2, name
        assert name in worker.output
        assert "Traceback" not in worker.output


def test_a_database_without_tables_is_refused(run_worker, empty_database_url):
    worker = run_worker(database_url=empty_database_url)

    assert_refused(worker, "manage.py migrate")


def test_a_read_only_disk_is_told_of(run_worker, only_sqlite, tmp_path):
    path = tmp_path / "jobs.sqlite3"
    migrate(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode=DELETE")
    settings = {
        "DATABASES": {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": f"file:{path}?mode=ro",
            }
        }
    }
    worker = run_worker(settings=settings)

    worker.wait_for_output("attempt to write a readonly database")

    worker.stop()
    assert "Traceback" not in worker.output


# Reload


@pytest.fixture
def project(tmp_path, witness):
    """Return the folder of a project with one task, which a test may edit."""
    witness.looks_away = True  # the tasks do not log their keys
    folder = tmp_path / "a project"
    app = folder / "changing"
    app.mkdir(parents=True)
    (app / "__init__.py").touch()
    (folder / "project_settings.py").write_text(
        "from tests.support.worker_settings import *\n"
        'INSTALLED_APPS = [*INSTALLED_APPS, "changing"]\n'
    )
    (folder / "manage.py").write_text(
        f"import sys\nsys.path.insert(1, {str(ROOT)!r})\n"
        "from django.core.management import execute_from_command_line\n"
        "execute_from_command_line(sys.argv)\n"
    )
    write_task(folder, "first")
    return folder


def write_task(folder, version):
    (folder / "changing" / "tasks.py").write_text(
        "import time\n"
        "from dbqueue import task\n"
        "from tests.support.worker_tasks import effect\n"
        "@task\n"
        "def tell(seconds):\n"
        f"    effect('began', {version!r})\n"
        "    time.sleep(seconds)\n"
        f"    effect('ended', {version!r})\n"
    )


def enqueue_tell(seconds):
    """Write a job of a task that this process cannot import."""
    with transaction.atomic():  # or an idle worker may take it as it is
        job = enqueue(tasks.note, "placeholder")
        unfinished(pk=job.id).update(task="changing.tasks.tell", args=[seconds])


@once
def test_changed_code_restarts_the_worker_but_kills_no_job(project, start, effects):
    enqueue_tell(2.5)
    worker = start(
        [sys.executable, project / "manage.py", "runworker"],
        ["--reload"],
        DJANGO_SETTINGS_MODULE="project_settings",
    )
    effects.wait_for("began", "first")
    before = worker.family()

    write_task(project, "second version")

    effects.wait_for("ended", "first")
    wait_until(lambda: len(worker.family() - before) >= 3, "it was restarted")
    enqueue_tell(0)
    effects.wait_for("ended", "second version")
    assert finished(attempt=1, state="SUCCESSFUL", args=[2.5]).exists()
    worker.tell(signal.SIGTERM)
    assert worker.wait() == 0
    worker.wait_until_gone()


@once
def test_a_worker_that_restarts_is_checked_once_at_each_start(project, start):
    (project / "changing" / "models.py").write_text(
        "from django.core import checks\n"
        "@checks.register('dbqueue')\n"
        "def check(**kwargs):\n"
        "    print('checked')\n"
        "    return []\n"
    )
    worker = start(
        [sys.executable, project / "manage.py", "runworker"],
        ["--reload", "--drain"],
        DJANGO_SETTINGS_MODULE="project_settings",
    )

    assert worker.wait() == 0

    assert worker.output.count("checked") == 1


@thorough
def test_broken_code_is_waited_out(project, start, effects):
    worker = start(
        [sys.executable, project / "manage.py", "runworker"],
        ["--reload"],
        DJANGO_SETTINGS_MODULE="project_settings",
    )
    wait_until(lambda: Worker.objects.exists(), "it works")
    (project / "changing" / "tasks.py").write_text("this is no Python")
    worker.wait_for_output("SyntaxError")

    write_task(project, "mended version")

    enqueue_tell(0)
    effects.wait_for("ended", "mended version")
    assert worker.stop(signal.SIGINT) == 0


@thorough
def test_nothing_is_left_when_the_reloading_worker_is_killed(project, start):
    worker = start(
        [sys.executable, project / "manage.py", "runworker"],
        ["--reload"],
        DJANGO_SETTINGS_MODULE="project_settings",
    )
    wait_until(lambda: Worker.objects.exists(), "it works")

    send(worker.pid, signal.SIGKILL)

    worker.wait_until_gone()
