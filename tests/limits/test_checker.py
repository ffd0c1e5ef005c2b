"""Limits hold whatever is killed, frozen, lost or changed in between."""

import subprocess
import sys

import pytest
from django.db import connection

from tests.support.processes import FAULTS, ROOT, SCALE, environment, on_demand

SECONDS = 3 if not FAULTS else (600 if SCALE >= 10 else 30)
MUTANTS = {
    "postgresql": ("no lock", "one statement", "no head", "no count"),
    "sqlite": ("no head", "no count"),
}

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def check(database_address, effects):
    """Return a function that runs the checker, and returns it when it has ended."""

    def check(seed, seconds, *mutant):
        command = [sys.executable, "-m", "tests.support.lane_checker", seed, seconds]
        return subprocess.run(
            list(map(str, [*command, *mutant])),
            cwd=ROOT,
            env={k: str(v) for k, v in environment(database_address, effects).items()},
            capture_output=True,
            text=True,
            check=False,
        )

    yield check
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS checked")
        for trigger in ("check_run", "check_end"):
            of_table = "" if connection.vendor == "sqlite" else " ON dbqueue_job"
            cursor.execute(f"DROP TRIGGER IF EXISTS {trigger}{of_table}")


def test_limits_and_orders_hold_whatever_happens(check):
    answer = check(1, SECONDS)

    print(answer.stdout, answer.stderr[-3000:])
    assert answer.returncode == 0


@on_demand
@pytest.mark.parametrize("mutant", sorted({m for of in MUTANTS.values() for m in of}))
def test_the_check_finds_a_gate_with_a_fault(check, mutant):
    if mutant not in MUTANTS[connection.vendor]:
        pytest.skip("this database has no such lock")

    for seed in range(5):
        answer = check(seed, 10, mutant)
        if answer.returncode:
            break

    assert "BROKEN" in answer.stdout
