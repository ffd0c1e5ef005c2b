"""A project of django-q2's as it is, with only `broker_class` changed."""

import json
import os
import signal
import subprocess
import sys

import pytest
from django.db import connection

from tests.support.processes import PATIENCE, ROOT, on_demand

pytest.importorskip("django_q", reason="pip install django-q2")

SET_UP = "import django; django.setup(); import main.{}"
PROJECT = ROOT / "tests" / "compat" / "q2_project"
pytestmark = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="it has a file of its own"
)


@pytest.fixture
def project(tmp_path):
    """Return a function that runs the project's programs on a broker."""

    def environment(broker):
        return {
            **os.environ,
            "BROKER": broker,
            "DJANGO_SETTINGS_MODULE": "core.settings",
            "PROJECT_VAR": str(tmp_path),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{PROJECT}",
        }

    def run(broker):
        def call(*command):
            done = subprocess.run(
                [sys.executable, *command],
                env=environment(broker),
                cwd=tmp_path,
                capture_output=True,
                text=True,
            )
            assert not done.returncode, done.stderr
            return done.stdout

        call("-m", "django", "migrate", "-v0")
        call("-c", SET_UP.format("send"))
        cluster = subprocess.Popen(
            [sys.executable, "-m", "django", "qcluster"],
            env=environment(broker),
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            found = json.loads(call("-c", SET_UP.format("look")))
            cluster.send_signal(signal.SIGTERM)
            assert cluster.wait(PATIENCE) == 0
        finally:
            if cluster.poll() is None:
                os.killpg(cluster.pid, signal.SIGKILL)
                cluster.wait()
        return found

    return run


EXPECTED = {
    "words": [3, 5],
    "chained": [5, 7],
    "bad": [False, True],
    "once": [4],
    "hourly": [6],
    "undone": 0,
    "counted": 2,
    "schedules": ["hourly"],
}


def test_the_project_runs_as_before_and_its_clusters_are_seen_without_a_cache(project):
    found = project("dbqueue")

    hooked = found.pop("hooked")
    assert {"bad False", "one True", "three True"} <= {*hooked}
    assert len(hooked) == 4  # and that of the schedule, whose name is made up
    assert found.pop("clusters") == 1
    assert found.pop("locked") == 1  # the one that failed, until it is retried
    assert found == EXPECTED


@on_demand
def test_the_project_does_the_same_on_the_broker_of_django_q2(project):
    found = project("orm")

    assert {name: found[name] for name in EXPECTED} == EXPECTED
    assert found["clusters"] == 0  # its cache is a dummy
