"""Programs that jobs start: they end with their job or their child, and no other."""

import os
import shutil
import signal
import sys

import pytest
from django.db import connection

from dbqueue import enqueue
from dbqueue.worker.process import programs
from tests.settings import DATABASES
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    NEVER,
    finished,
    reasons,
    thorough,
    unfinished,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)
from tests.support.worker_tasks import alive

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(sys.platform != "linux", reason="Linux only"),
]


@pytest.fixture
def pids(tmp_path):
    """Return the file in which programs note their pids; what is left is killed."""
    path = tmp_path / "pids"
    yield str(path)
    for pid in alive(path):
        os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def leave(tmp_path):
    return tmp_path / "leave"


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (tasks.run_program, "a program of a program"),
        (tasks.run_program, "an orphan"),
        (tasks.arun_program, "a program"),
        (tasks.arun_program_in_thread, "a program"),
        pytest.param(tasks.arun_program, "an orphan", marks=thorough),
    ],
)
def test_a_retry_after_a_timeout_runs_beside_no_program_of_its_predecessor(
    task, kind, run_worker, effects, pids
):
    enqueue(task, "job", kind, pids)
    run_worker("--threads", 1)

    wait_until_empty()

    record = finished().get()
    assert reasons(record) == ["timeout", "timeout"]
    assert [line["alive"] for line in effects.all("began")] == [[], []]
    assert alive(pids) == []
    assert len(effects.pids("began")) == 1  # the child was not replaced for it


def test_a_timeout_ends_no_program_of_another_job(
    run_worker, effects, pids, leave, tmp_path
):
    others = [str(tmp_path / name) for name in ("other", "async other")]
    first = enqueue(tasks.start_program, "other", others[0], str(leave), {})
    second = enqueue(tasks.astart_program, "async other", others[1], str(leave))
    worker = run_worker("--threads", 2)
    for path in others:
        wait_until(lambda path=path: alive(path), "it runs")
    before = [alive(path) for path in others]
    for task in (tasks.run_program, tasks.arun_program):
        overdue = enqueue(task, task.name, "a program", pids)
        assert wait_until_finished(overdue).failures == 2

    after = [alive(path) for path in others]
    leave.touch()

    assert after == before
    for job in (first, second):
        record = wait_until_finished(job)
        assert (record.state, record.attempt) == ("SUCCESSFUL", 1)
    assert worker.process.poll() is None


def test_what_cannot_be_told_apart_ends_with_its_process_and_costs_no_failure(
    run_worker, effects, pids, leave
):
    other = enqueue(tasks.work_until, "other", str(leave))
    run_worker("--threads", 2)
    effects.wait_for("began", "other")
    overdue = enqueue(tasks.run_program, "overdue", "an orphan", pids)
    wait_until_finished(overdue)

    wait_until(lambda: not alive(pids), "the programs are gone")
    leave.touch()

    record = wait_until_finished(other)
    assert (record.state, record.failures) == ("SUCCESSFUL", 0)
    assert set(reasons(record)) == {"released"}


@pytest.mark.parametrize("how", [{}, {"process_group": 0}], ids=["", "own group"])
def test_a_dead_childs_programs_are_gone_before_its_job_runs_again(
    how, run_worker, effects, pids, leave
):
    job = enqueue(tasks.start_program, "job", pids, str(leave), how)
    run_worker("--threads", 1)
    (line,) = effects.wait_for("began")
    wait_until(lambda: alive(pids), "it runs")

    os.kill(line["pid"], signal.SIGKILL)

    _, again = effects.wait_for("began", times=2)
    leave.touch()
    assert again["alive"] == []
    assert wait_until_finished(job).attempt == 2


def test_a_program_may_have_a_name_that_is_cut_within_a_character(
    run_worker, effects, pids, leave, tmp_path
):
    named = tmp_path / ("é" * 10)  # the kernel keeps fifteen bytes
    named.symlink_to(shutil.which("sleep"))
    command = ["sh", "-c", 'echo $$ >> "$0"; exec "$1" 3600', pids, str(named)]
    job = enqueue(tasks.start_program, "job", pids, str(leave), {"args": command})
    worker = run_worker("--threads", 1)
    (line,) = effects.wait_for("began")
    wait_until(lambda: alive(pids), "it runs")

    os.kill(line["pid"], signal.SIGKILL)

    _, again = effects.wait_for("began", times=2)
    leave.touch()
    assert again["alive"] == []
    assert wait_until_finished(job).attempt == 2
    assert worker.stop() == 0


def test_a_session_of_its_own_lets_a_program_live_on(run_worker, effects, pids, leave):
    how = {"start_new_session": True}
    enqueue(tasks.start_program, "job", pids, str(leave), how)
    worker = run_worker("--threads", 1)
    before = wait_until(lambda: alive(pids), "it runs")
    leave.touch()
    wait_until_empty()

    assert worker.stop() == 0

    assert alive(pids) == before


def test_what_a_successful_job_has_left_ends_with_its_process(
    run_worker, effects, pids, leave
):
    leave.touch()
    enqueue(tasks.start_program, "job", pids, str(leave), {})
    worker = run_worker("--threads", 1)
    wait_until_empty()
    between = wait_until(lambda: alive(pids), "it runs")
    enqueue(tasks.note, "next")
    effects.wait_for("ended", "next")

    assert alive(pids) == between
    assert worker.stop() == 0

    wait_until(lambda: not alive(pids), "it is gone")


def test_a_job_that_is_released_leaves_no_program_behind(
    run_worker, effects, pids, leave
):
    enqueue(tasks.start_program, "job", pids, str(leave), {})
    worker = run_worker("--grace", 0.2)
    wait_until(lambda: alive(pids), "it runs")

    assert worker.stop() == 0

    assert alive(pids) == []
    assert reasons(unfinished().get()) == ["released"]


def test_no_program_is_left_when_the_supervisor_is_killed(
    run_worker, effects, pids, leave
):
    enqueue(tasks.start_program, "job", pids, str(leave), {})
    worker = run_worker("--grace", NEVER)
    wait_until(lambda: alive(pids), "it runs")

    worker.tell(signal.SIGKILL)

    worker.wait_for_output("The supervisor has exited")
    leave.touch()
    worker.wait_until_gone()
    assert alive(pids) == []
    assert finished(state="SUCCESSFUL").exists()


def test_a_child_is_not_slowed_down_by_programs_that_have_ended(monkeypatch):
    monkeypatch.setattr(programs, "_PATIENCE", 0.0)
    monkeypatch.setattr(programs, "_LOOK", NEVER)
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    adopted = programs.Adopted()
    adopted.reap()

    adopted.reap()

    assert os.waitpid(pid, 0) == (pid, 0)  # it was not looked at again


# On the server

ASKING = """
SELECT pid FROM pg_stat_activity
WHERE state = 'active' AND query LIKE '%of a job%' AND pid <> pg_backend_pid()
"""


def asking():
    with connection.cursor() as cursor:
        cursor.execute(ASKING)
        return [pid for (pid,) in cursor.fetchall()]


@pytest.mark.parametrize("pool", [False, True])
def test_the_server_ends_what_a_killed_child_was_asking(
    pool, run_worker, effects, only_postgres
):
    entry = {**DATABASES["default"], "NAME": connection.settings_dict["NAME"]}
    if pool:
        entry |= {"OPTIONS": {"pool": True}, "CONN_MAX_AGE": 0}
    enqueue(tasks.query_slowly, "job")
    run_worker(settings={"DATABASES": {"default": entry}})
    (line,) = effects.wait_for("began")
    wait_until(asking, "it asks")

    os.kill(line["pid"], signal.SIGKILL)

    # Which is less than the query would take.
    wait_until(lambda: not asking(), "the server has ended it", seconds=40)
    wait_until_empty()
