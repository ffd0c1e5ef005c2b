"""runworker --with: a worker and a web server, started and ended as one."""

import os
import shlex
import signal
import sys

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests import tasks
from tests.support.processes import (
    ROOT,
    on_demand,
    wait_until,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [pytest.mark.django_db(transaction=True), on_demand]
WEB = ROOT / "tests" / "support" / "web.py"


class Both:
    """The pair of a test, and what its web server has noted."""

    def __init__(self, process, notes):
        self.process, self.notes = process, notes

    def heard(self):
        return self.notes.read_text().split("\n")[:-1] if self.notes.exists() else []

    def wait_until_heard(self, text):
        wait_until(lambda: text in self.heard(), f"the server notes {text}")

    @property
    def server(self):
        return int(self.heard()[0].removeprefix("pid "))

    def worker(self):
        """Return the pid of the worker, once it works."""

        def found():
            rest = self.process.below() - {self.server}
            return rest.pop() if len(rest) == 1 else None

        return wait_until(found, "there is a worker")


@pytest.fixture
def begin(run_worker, tmp_path, witness):
    """Return a function that starts the pair."""
    witness.looks_away = True

    def begin(*arguments, code=0, **how):
        notes = tmp_path / "notes"
        words = [sys.executable, str(WEB), str(notes), str(code)]
        process = run_worker("--with", shlex.join(words), *arguments, **how)
        both = Both(process, notes)
        wait_until(both.heard, f"the server has started\n{process.output}")
        return both

    return begin


def test_both_are_started_and_stopped_and_the_exit_code_is_the_servers(begin):
    both = begin(code=7)
    assert wait_until_finished(tasks.add.enqueue(1, 2)).result == 3

    assert both.process.stop() == 7
    both.process.wait_until_gone()
    assert both.heard()[1:] == ["SIGTERM"]


def test_a_worker_that_is_killed_is_started_again(begin):
    both = begin()
    worker = both.worker()
    wait_until_finished(tasks.noop.enqueue())

    os.kill(worker, signal.SIGKILL)

    wait_until_finished(tasks.noop.enqueue())
    assert both.worker() != worker
    assert both.process.stop() == 0


def test_the_worker_ends_with_the_server(begin):
    both = begin()
    wait_until_finished(tasks.noop.enqueue())

    os.kill(both.server, signal.SIGKILL)

    assert both.process.wait() == 128 + signal.SIGKILL
    both.process.wait_until_gone()


def test_signals_reach_whom_they_are_for(begin):
    both = begin()
    worker = both.worker()
    wait_until_finished(tasks.noop.enqueue())

    for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGHUP):
        both.process.tell(number)
        if number != signal.SIGUSR2:
            both.wait_until_heard(number.name)

    # The worker has stopped at the HUP, and another one has begun with the code of now.
    wait_until(lambda: both.worker() != worker, "there is another worker")
    wait_until_finished(tasks.noop.enqueue())
    assert "SIGUSR2" not in both.heard()
    assert both.process.stop() == 0


def test_both_end_when_what_started_them_is_killed(begin):
    both = begin()
    wait_until_finished(tasks.noop.enqueue())

    both.process.tell(signal.SIGKILL)

    both.process.wait_until_gone()


def test_a_worker_that_cannot_begin_ends_it_all(begin):
    both = begin("--queues", "nowhere", settings={"TASKS": LISTED})

    assert both.process.wait(300) == 1
    assert "No queue is called 'nowhere'" in both.process.output
    assert "5 times in a row" in both.process.output
    assert both.heard()[1:] == ["SIGTERM"]


LISTED = {
    "default": {
        "BACKEND": "dbqueue.backend.DatabaseBackend",
        "QUEUES": ["default"],
    }
}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"beside": "gone-away --x"}, "command line"),
        ({"beside": "true", "drain": True}, "command line"),
    ],
)
def test_it_is_for_the_command_line(given, words):
    with pytest.raises(CommandError, match=words):
        call_command("runworker", **given)


@pytest.mark.parametrize("command", ["gone-away --x", "'", ""])
def test_a_program_that_is_not_there_is_told_at_once(run_worker, command, witness):
    process = run_worker("--with", command)

    assert process.wait() == 1
    assert "--with" in process.output
