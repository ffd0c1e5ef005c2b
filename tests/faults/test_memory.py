"""How much memory a worker has after many jobs, and after many more."""

from pathlib import Path

import pytest

from tests import tasks
from tests.support.processes import (
    PATIENCE,
    finished,
    scaled,
    thorough,
    unfinished,
    wait_until_empty,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

BATCH = 20_000
NAMES = ("child", "supervisor", "keeper")


def resident(pid, kind="RssAnon"):
    """Return the MiB of memory that a process has of its own.

    `kind` is VmRSS for all of it, VmHWM for its peak since forget_peak().
    """
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(f"{kind}:")]
    return int(line.split()[1]) / 1024


def forget_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@thorough
def test_a_worker_needs_no_more_memory_after_200_000_jobs_than_after_20_000(
    run_worker, jobs, witness, measured
):
    witness.looks_away = True
    worker = run_worker("--threads", 4, "-v", 0)
    processes = [*worker.wait_until_working(), worker.pid, worker.keeper()]

    memory = []
    for _ in range(10):
        jobs.many(tasks.noop, [()] * BATCH)
        wait_until_empty(worker, 5 * PATIENCE)
        memory.append([resident(pid) for pid in processes])

    assert finished(state="SUCCESSFUL", failures=0).count() == 10 * BATCH
    assert not unfinished().exists()
    for name, early, late in zip(NAMES, memory[0], memory[-1], strict=True):
        measured(f"the {name} had", early, "MiB")
        measured(f"the {name} grew by", 100 * (late - early) / early, "%", at_most=10)


@pytest.mark.parametrize(
    ("task", "argument", "size"),
    [
        (tasks.noop, "x" * 1_000_000, 1_000_000),
        (tasks.return_bytes, 1_000_000, 1_000_000),
        (tasks.fail_hopelessly, "x" * 100_000, 100_000),
    ],
    ids=["arguments", "results", "tracebacks"],
)
def test_a_child_grows_by_no_more_than_64_mib_and_twice_the_largest_job(
    task, argument, size, run_worker, jobs, witness, measured
):
    witness.looks_away = True
    worker = run_worker("--threads", 4, "-v", 0)
    (child,) = worker.wait_until_working()
    # Of such, it claims as many at once as it may.
    jobs.many(tasks.noop, [()] * scaled(2000, 20_000))
    wait_until_empty(worker)
    before = resident(child, "VmRSS")
    forget_peak(child)

    for _ in range(scaled(1, 10)):
        jobs.many(task, [(argument,)] * 100)
        wait_until_empty(worker, 5 * PATIENCE)

    grown = resident(child, "VmHWM") - before
    measured("the child grew by", grown, "MiB")
    assert grown <= 64 + 2 * size / 2**20
    assert finished().count() == scaled(2000, 20_000) + scaled(100, 1000)
