"""Clusters of django-q2 in processes of their own, on dbqueue's broker."""

import signal
import sys

import pytest

pytest.importorskip("django_q", reason="pip install django-q2")

from django_q.models import Failure, Success
from django_q.tasks import async_task

from dbqueue.compat.django_q2.models import Package
from tests.support.processes import MANAGE, on_demand, scaled, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]

CLUSTER = {
    "name": "tests",
    "broker_class": "dbqueue.compat.django_q2.Broker",
    "workers": 2,
    "bulk": 5,
    "queue_limit": 10,
    "timeout": 60,
    "retry": 90,
    "save_limit": 0,
    "poll": 0.2,
}


@pytest.fixture
def run_cluster(start, witness):
    """Return a function that starts a cluster, with these settings on top."""

    witness.looks_away = True  # what runs are no jobs

    def run(**settings):
        cluster = {"Q_CLUSTER": {**CLUSTER, **settings}}
        return start([sys.executable, MANAGE, "qcluster"], [], settings=cluster)

    return run


def send(count, task="note"):
    for n in range(count):
        async_task(f"tests.compat.q2_tasks.{task}", str(n))


def wait_until_done(clusters):
    def is_done():
        return not Package.objects.exists()

    output = "\n".join(cluster.output[-3000:] for cluster in clusters)
    wait_until(is_done, f"no package is left\n{output}", 300)


def test_a_cluster_killed_in_the_middle_loses_nothing(run_cluster, effects):
    count = scaled(30, 2000)
    # Of many, results wait for long until one process has saved them.
    lease = {"retry": 4, "timeout": 3} if count < 100 else {"retry": 30, "timeout": 20}
    send(count)
    killed = run_cluster(**lease)
    effects.wait_for("ended")

    killed.kill_all()
    other = run_cluster(**lease)
    wait_until_done([other])

    assert set(effects.keys()) == {str(n) for n in range(count)}
    assert other.stop() == 0


@on_demand
def test_three_clusters_run_each_task_once(run_cluster, effects):
    count = scaled(200, 2000)
    clusters = [run_cluster() for _ in range(3)]

    send(count)
    wait_until_done(clusters)

    assert set(effects.counts().values()) == {1}
    assert set(effects.keys()) == {str(n) for n in range(count)}
    assert Success.objects.count() == count
    assert len(effects.pids()) > 2  # more than one cluster's workers


@on_demand
def test_a_task_that_fails_is_run_again_when_its_lease_is_over(run_cluster, effects):
    async_task("tests.compat.q2_tasks.fail", "bad")
    cluster = run_cluster(retry=2, timeout=1, max_attempts=3)

    wait_until_done([cluster])

    assert effects.counts("failed") == {"bad": 3}
    assert Failure.objects.get().attempt_count == 3


@on_demand
def test_a_task_that_ends_its_worker_does_not_loop(run_cluster, effects):
    async_task("tests.compat.q2_tasks.end_worker", "poison")
    run_cluster(retry=2, timeout=1, max_attempts=2)

    wait_until(Package.objects.refused().exists, "it is refused")

    assert effects.counts("began") == {"poison": 2}


@on_demand
def test_a_frozen_cluster_acknowledges_nothing_of_another(run_cluster, effects):
    async_task("tests.compat.q2_tasks.note", "slow", 1)
    frozen = run_cluster(retry=3, timeout=2, workers=1)
    wait_until(lambda: Package.objects.held().exists(), "it has the package")
    frozen.tell_all(signal.SIGSTOP)
    other = run_cluster(retry=3, timeout=2, workers=1)
    wait_until_done([other])

    frozen.tell_all(signal.SIGCONT)
    frozen.stop()

    assert Success.objects.count() == 1
