"""A relay, workers of Celery and a broker, in processes of their own."""

import signal

from dbqueue import enqueue, jobs
from dbqueue.models import Job, Worker
from dbqueue.relay.models import Dispatch
from tests.support.processes import (
    SHORT,
    finished,
    on_demand,
    once,
    reasons,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)
from tests.support.worker_tasks import awork, note, swallow, work, work_until

pytest_plugins = ["tests.support.worker_fixtures"]


def send(task, *arguments, **options):
    return enqueue(task.using(queue_name="video", **options), *arguments)


def send_many(count):
    for n in range(count):
        send(note, str(n))
    return {str(n): 1 for n in range(count)}


def is_confirmed(count):
    return lambda: Dispatch.objects.exclude(confirmed_at=None).count() == count


@once
def test_workers_of_celery_run_jobs_and_stop_those_that_are_cancelled(cluster, effects):
    celery = cluster()
    each = send_many(20)
    long, along = send(work, "long", 600), send(awork, "along", 600)
    relay, worker = celery.relay(), celery.worker("-c", "4")
    effects.wait_for("ended", times=20)
    for key in ("long", "along"):
        effects.wait_for("began", key)

    jobs.cancel(long)
    jobs.cancel(along)
    wait_until_empty(worker)

    assert effects.counts("ended") == each
    assert finished(state="CANCELLED").count() == 2
    assert relay.stop() == 0
    assert worker.stop() == 0
    assert not Worker.objects.exists()


@on_demand
def test_a_job_that_is_cancelled_in_the_broker_does_not_start(
    cluster, broker, effects, tmp_path
):
    celery = cluster()
    gate = tmp_path / "gate"
    send(work_until, "slow", str(gate))
    relay, worker = celery.relay(), celery.worker("-c", "1")
    effects.wait_for("began", "slow")
    waiting = send(note, "waiting")
    wait_until(is_confirmed(1), "it waits in the broker")

    jobs.cancel(waiting)
    gate.touch()
    wait_until_empty(worker)
    send(note, "after")
    wait_until_empty(worker)

    assert effects.counts("ended") == {"slow": 1, "after": 1}
    assert wait_until_finished(waiting).state == "CANCELLED", relay.output
    worker.wait_for_output("started nothing")


@on_demand
def test_jobs_outlive_the_deaths_of_a_relay_and_of_a_worker(cluster, effects, tmp_path):
    celery = cluster(dispatch_ttl=3)
    each = send_many(20)
    gate = tmp_path / "gate"
    slow = send(work_until, "slow", str(gate))
    relay, worker = celery.relay(**SHORT), celery.worker(**SHORT)
    wait_until(lambda: Job.objects.count() == 1, "only one is left")
    effects.wait_for("began", "slow")

    worker.kill_all()
    relay.kill_all()
    send(note, "later")
    celery.relay(**SHORT)
    gate.touch()
    worker = celery.worker(**SHORT)
    wait_until_empty(worker)

    assert effects.counts("ended") == {**each, "slow": 1, "later": 1}
    assert reasons(wait_until_finished(slow)) == ["lost"]
    wait_until(lambda: not Dispatch.objects.exists(), "no dispatch is left")


@on_demand
def test_a_worker_that_was_frozen_past_its_lease_ends_nothing(
    cluster, effects, tmp_path
):
    celery = cluster(dispatch_ttl=3)
    gate = tmp_path / "gate"
    result = send(work_until, "slow", str(gate))
    celery.relay(**SHORT)
    frozen = celery.worker(**SHORT)
    effects.wait_for("began", "slow")
    frozen.tell_all(signal.SIGSTOP)
    other = celery.worker(**SHORT)
    effects.wait_for("began", "slow", times=2)

    frozen.tell_all(signal.SIGCONT)
    frozen.wait_for_output("The lease ran out")
    gate.touch()
    effects.wait_for("ended", "slow", times=2)
    wait_until_empty(other)

    ended = wait_until_finished(result)
    assert (ended.state, ended.attempt) == ("SUCCESSFUL", 2)
    frozen.wait_for_output("Claim lost")


@on_demand
def test_a_job_that_does_not_stop_at_its_timeout_costs_its_process(cluster, effects):
    celery = cluster()
    result = send(swallow, "stubborn")
    celery.relay()
    worker = celery.worker("-c", "1")

    wait_until_finished(result)
    send(note, "after")
    wait_until_empty(worker)

    assert reasons(finished(pk=result.id).get()) == ["timeout"]
    assert effects.counts("ended")["after"] == 1
    assert not Job.objects.exists()
