"""What people see of failures, with a worker of real processes and Django's LOGGING."""

import re

import pytest

from dbqueue import enqueue
from tests.support import worker_tasks as tasks
from tests.support.processes import FAULTS, finished

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

ENDS = {
    tasks.leave: "SystemExit",
    tasks.hold_the_gil: "TaskTimeout",  # ended by the supervisor
    tasks.crash: "WorkerLost",
}
if FAULTS:
    ENDS[tasks.spin] = "TaskTimeout"  # ended in its thread
    ENDS[tasks.block] = "TaskTimeout"  # ended by its child


def test_each_failure_is_one_error_in_the_log_and_is_announced(
    run_worker, effects, settings
):
    results = {task: enqueue(task, task.name) for task in ENDS}
    apps = [*settings.INSTALLED_APPS, "tests.support.listening.Listening"]

    worker = run_worker("--drain", "--threads", 1, settings={"INSTALLED_APPS": apps})

    assert worker.wait() == 0
    assert finished(state="FAILED").count() == len(ENDS)
    lines = [line for line in worker.output.splitlines() if " ERROR " in line]
    assert len(lines) == len(ENDS)
    told = {line["key"]: line["state"] for line in effects.all("told")}
    for task, name in ENDS.items():
        (line,) = [line for line in lines if results[task].id in line]
        rest = worker.output[worker.output.index(line) :]
        assert re.search(rf"^(\S+\.)?{name}\b", rest, re.M)
        assert told[results[task].id] == "FAILED"
    assert len(effects.all("told")) == len(ENDS)
