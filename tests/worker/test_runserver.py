"""A worker beside `manage.py runserver`, and beside web servers."""

import os
import signal
import sys

import pytest
from django.conf import settings

from dbqueue.models import Worker
from tests import tasks
from tests.support.processes import (
    MANAGE,
    on_demand,
    wait_until,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [pytest.mark.django_db(transaction=True), on_demand]
SETTINGS = {"DBQUEUE": {"RUNSERVER": True}, "DEBUG": True, "ALLOWED_HOSTS": ["*"]}


@pytest.fixture
def serve(start, witness):
    witness.looks_away = True

    def serve(*arguments, settings=SETTINGS, **how):
        words = ["runserver", "127.0.0.1:0", *arguments]
        return start([sys.executable, MANAGE], words, settings=settings, **how)

    return serve


def commands():
    """Return the pids of the `runworker` of all live workers."""
    return {row.facts["command"] for row in Worker.objects.all()}


def the_worker(other_than=None):
    found = wait_until(lambda: commands() - {other_than}, "there is a worker")
    return found.pop()


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("arguments", [("--noreload",), ()])
def test_runserver_has_a_worker_that_ends_with_it(serve, arguments):
    server = serve(*arguments)
    worker = the_worker()
    assert wait_until_finished(tasks.add.enqueue(1, 2)).result == 3

    server.stop(signal.SIGINT)

    wait_until(lambda: gone(worker), "the worker has ended")


@pytest.mark.parametrize("arguments", [("--noreload",), ()])
def test_no_worker_is_left_when_runserver_is_killed(serve, arguments):
    server = serve(*arguments)
    worker = the_worker()

    server.tell(signal.SIGKILL)

    wait_until(lambda: gone(worker), "the worker has ended")


def test_a_change_of_the_code_brings_another_worker(serve, tmp_path):
    app = tmp_path / "app_that_changes"
    app.mkdir()
    module = app / "__init__.py"
    module.write_text("")
    apps = {"INSTALLED_APPS": [*settings.INSTALLED_APPS, app.name]}
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    serve(settings=SETTINGS | apps, PYTHONPATH=path)
    first = the_worker()

    os.utime(module, (2**31, 2**31))  # newer than any

    second = the_worker(other_than=first)
    wait_until(lambda: gone(first), "the worker of before has ended")
    assert wait_until_finished(tasks.add.enqueue(1, 2)).result == 3
    assert not gone(second)


def test_without_the_setting_there_is_none(serve):
    server = serve("--noreload", settings={"DEBUG": True})
    server.wait_for_output("Quit the server")

    assert not server.below()
