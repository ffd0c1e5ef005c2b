"""Keys between processes: who enqueues, beside workers that finish, retry and die."""

import json
import signal
import sys
from collections import Counter

import pytest
from django.db.models import Count

from dbqueue.models import FinishedJob, Job, JobState
from dbqueue.models.job import HAS_KEY
from tests.support import unique_tasks
from tests.support.processes import ROOT, on_demand, scaled, send, wait_until_empty

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

KEYS = 8
CROWD = scaled(5, 50)  # processes that want one key
# Forks, and lets all begin at once. Each enqueues one by one, as lists, and some that
# are rolled back; and says what was written.
HAMMER = """
import json
import os
import random
import sys
import django
django.setup()
from django.db import OperationalError, transaction
from dbqueue import enqueue, enqueue_many
from tests.support import unique_tasks
name, folder, place, count, keys, processes = sys.argv[1:]
gate, opener = os.pipe()
pids = []
for place in range(int(place), int(place) + int(processes)):
    pids.append(os.fork())
    if not pids[-1]:
        os.close(opener)
        os.read(gate, 1)
        break
else:
    os.close(opener)
    sys.exit(any([os.waitpid(pid, 0)[1] for pid in pids]))
start, keys = place * 1_000_000, int(keys)
declared = getattr(unique_tasks, name)

def enqueued(count):
    call = {"folder": folder, "count": count}
    if count % 4 == 0:
        some = random.sample(range(keys), min(3, keys))
        return list(enqueue_many(declared, [{**call, "number": n} for n in some]))
    with transaction.atomic():
        result = enqueue(declared, number=random.randrange(keys), **call)
        if count % 7 == 0:
            transaction.set_rollback(True)
            return []
    return [result]

new, old, left = [], 0, list(range(start, start + int(count)))
while left:
    try:
        results = enqueued(left[0])
    except OperationalError as error:
        if "locked" not in str(error):  # by SQLite, which lets nobody wait in turn
            raise
        continue
    left.pop(0)
    new += [result.id for result in results if result.was_enqueued]
    old += sum(not result.was_enqueued for result in results)
sys.stdout.write(json.dumps({"new": new, "old": old}) + "\\n")  # as one
"""

EACH = [
    "racing",
    *(
        pytest.param(name, marks=on_demand)
        for name in ("racing_waiting", "racing_replaced", "racing_cooled")
    ),
]


@pytest.fixture
def hammer(start, tmp_path):
    """Return a function that starts a process which enqueues jobs of few keys."""

    def run(name, place, count, *, keys=KEYS, processes=1):
        given = [name, tmp_path, place, count, keys, processes]
        return start([sys.executable, "-c", HAMMER], given, PYTHONPATH=ROOT)

    return run


def most_of_a_key():
    """Return how many jobs have the key that most have."""
    held = Job.objects.filter(HAS_KEY).values("unique_key")
    counts = held.annotate(jobs=Count("pk")).values_list("jobs", flat=True)
    return max(counts, default=0)


def until_done(processes, look=most_of_a_key):
    """Look at the keys until the processes have ended; return what they have said."""
    looks = Counter()
    while any(process.process.poll() is None for process in processes):
        looks[look()] += 1
    assert set(looks) <= {0, 1}
    assert all(process.wait() == 0 for process in processes)
    lines = [line for p in processes for line in p.output.splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


def check(said, worker):
    """Each job that was said to be new has ended once, and nobody met an error."""
    new = [id for one in said for id in one["new"]]
    ended = {str(id) for id in FinishedJob.objects.values_list("pk", flat=True)}
    assert len(new) == len(set(new))
    assert set(new) == ended
    assert any(one["old"] for one in said)
    assert not FinishedJob.objects.exclude(state=JobState.SUCCESSFUL).exists()
    wrong = ("IntegrityError", "UniqueViolation", "FileExistsError", "unique_key")
    assert not [word for word in wrong if word in worker.output]
    for log in FinishedJob.objects.values_list("attempt_log", flat=True):
        assert "FileExistsError" not in json.dumps(log)


@pytest.mark.parametrize("name", EACH)
def test_never_do_two_jobs_have_a_key_while_others_finish_and_retry(
    name, hammer, run_worker
):
    worker = run_worker("--processes", 2, "--threads", 2)

    said = until_done([hammer(name, place, scaled(60, 600)) for place in range(3)])
    wait_until_empty(worker)

    check(said, worker)


def test_one_key_is_held_once_however_many_processes_want_it(hammer, run_worker):
    worker = run_worker("--processes", 2, "--threads", 2)
    worker.wait_until_working(2)

    crowd = hammer("racing", 0, 6, keys=1, processes=CROWD)
    said = until_done([crowd], look=Job.objects.count)
    wait_until_empty(worker)

    assert len(said) == CROWD
    check(said, worker)


@on_demand
@pytest.mark.parametrize("name", ["racing_waiting", "racing_replaced"])
def test_a_death_of_a_worker_neither_doubles_a_key_nor_keeps_it(
    name, hammer, run_worker
):
    worker = run_worker("--processes", 2, "--threads", 2)
    worker.wait_until_working(2)
    hammers = [hammer(name, place, 200) for place in range(3)]

    for _ in range(5):
        assert most_of_a_key() <= 1
        for pid in worker.children()[:1]:
            send(pid, signal.SIGKILL)
        worker.wait_until_working(2)
    said = until_done(hammers)
    wait_until_empty(worker)

    check(said, worker)
    declared = getattr(unique_tasks, name)
    folder = str(worker.log.parent)
    assert all(
        declared.using(run_after=None).enqueue(n, folder, 0).was_enqueued
        for n in range(KEYS)
    )
