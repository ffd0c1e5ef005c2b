"""The tests of django-q2's own wheel, with its clusters on dbqueue's broker."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.processes import ROOT, on_demand

pytest.importorskip("django_q", reason="pip install django-q2")

FILES = ("brokers", "cached", "cluster", "commands", "monitor", "scheduler")


@on_demand
@pytest.mark.parametrize("name", FILES)
def test_the_tests_of_django_q2_pass_on_the_broker(name, tmp_path):
    wheel = Path(find_spec("django_q").origin).parent
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "tests.compat.q2_suite", "-o", "addopts="),
            *("-W", "ignore::RuntimeWarning", "-c"),  # their moments are naive
            *(ROOT / "pyproject.toml", wheel / "tests" / f"test_{name}.py"),
        ],
        cwd=ROOT,
        env={
            **{k: v for k, v in os.environ.items() if k != "PYTEST_XDIST_WORKER"},
            "DJANGO_SETTINGS_MODULE": "tests.compat.q2_suite_settings",
            "PYTHONPATH": str(ROOT),
            "Q2_SUITE_FOLDER": str(tmp_path),
        },
        capture_output=True,
        text=True,
    )

    assert not done.returncode, done.stdout[-5000:]
