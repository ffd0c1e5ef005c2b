"""What spooler users count on in the processes of a worker."""

import json
import os
import signal
import sys

import pytest
from django.conf import settings

from dbqueue.models import Worker
from tests.support.processes import ROOT, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)
PROJECT = ROOT / "tests" / "compat" / "uwsgi_project"


@pytest.fixture
def notes(tmp_path):
    """Return a function that gives the processes which noted something."""
    path = tmp_path / "notes"

    def of(key):
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [pid for name, _, pid, *_ in found if name == key]

    of.path = path
    return of


def test_postfork_runs_once_in_each_process_of_a_worker(run_worker, notes, witness):
    witness.looks_away = True
    paths = os.pathsep.join([str(PROJECT), *filter(None, sys.path)])
    more = {"SIDE": "dbqueue", "NOTES": str(notes.path), "OTHER": "/other"}
    given = {"INSTALLED_APPS": [*settings.INSTALLED_APPS, "shop"]}

    worker = run_worker("--processes", 2, settings=given, PYTHONPATH=paths, **more)

    wait_until(lambda: len(notes("forked")) == 2, "both have forked")
    first = {*notes("forked")}
    assert len(first) == 2
    assert worker.pid not in first
    assert first == {*Worker.objects.values_list("pid", flat=True)}
    os.kill(min(first), signal.SIGKILL)
    wait_until(lambda: len(notes("forked")) == 3, "its successor has forked")
    assert len({*notes("forked")}) == 3
    assert worker.stop() == 0
