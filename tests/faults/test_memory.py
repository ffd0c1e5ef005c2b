"""How much memory a worker has after many jobs, and after many more."""

from pathlib import Path

import pytest

from tests import tasks
from tests.support.processes import finished, thorough, unfinished, wait_until_empty

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [pytest.mark.django_db(transaction=True), thorough]

BATCH = 20_000
NAMES = ("child", "supervisor", "keeper")


def resident(pid):
    """Return the MiB of memory that a process has of its own."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) / 1024


def test_a_worker_needs_no_more_memory_after_200_000_jobs_than_after_20_000(
    run_worker, jobs, witness, measured
):
    witness.looks_away = True
    worker = run_worker("--threads", 4, "-v", 0)
    processes = [*worker.wait_until_working(), worker.pid, worker.keeper()]

    memory = []
    for _ in range(10):
        jobs.many(tasks.noop, [()] * BATCH)
        wait_until_empty(worker, 300)
        memory.append([resident(pid) for pid in processes])

    assert finished(state="SUCCESSFUL", failures=0).count() == 10 * BATCH
    assert not unfinished().exists()
    for name, early, late in zip(NAMES, memory[0], memory[-1], strict=True):
        measured(f"the {name} had", early, "MiB")
        measured(f"the {name} grew by", 100 * (late - early) / early, "%", at_most=10)
