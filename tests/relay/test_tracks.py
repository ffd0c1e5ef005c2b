"""Tracks whose workers of Celery have no connection to the database of the jobs."""

from datetime import timedelta

from django.utils import timezone

from dbqueue import jobs
from dbqueue.models import Job, Worker
from tests.relay.test_celery import is_confirmed, send, send_many
from tests.relay.test_relay import overdue
from tests.support.processes import (
    PATIENCE,
    SHORT,
    finished,
    on_demand,
    once,
    reasons,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)
from tests.support.worker_tasks import awork, fail, note, swallow, work_until

pytest_plugins = ["tests.support.worker_fixtures"]


@once
def test_what_was_handed_over_is_run_by_workers_without_the_database(cluster, effects):
    celery = cluster(track="handoff")
    each = send_many(20)
    along = send(awork, "along", 0)
    relay = celery.relay()
    wait_until_empty(relay)

    worker = celery.worker_without_database()
    effects.wait_for("ended", times=21)

    assert effects.counts("ended") == {**each, "along": 1}
    assert finished(state="SUCCESSFUL", attempt=1).count() == 21
    assert wait_until_finished(along).worker_id == Worker.objects.get().pk
    assert relay.stop() == 0
    assert worker.stop() == 0


@on_demand
def test_nothing_is_lost_before_the_broker_has_confirmed_it(
    cluster, broker, effects, witness
):
    # RabbitMQ reads what it was sent once it may: some are published twice.
    witness.looks_away = broker.reads_later
    celery = cluster(track="handoff")
    each = send_many(20)
    with broker.full():
        relay = celery.relay()
        relay.wait_for_output(broker.full_says)
        relay.kill_all()
        assert Job.objects.filter(state="READY").count() == 20

    wait_until_empty(celery.relay())
    celery.worker_without_database()
    wait_until(lambda: effects.counts("ended").keys() == each.keys(), "all have run")

    assert broker.reads_later or effects.counts("ended") == each
    assert finished(state="SUCCESSFUL").count() == 20


@on_demand
def test_a_relay_that_is_killed_while_it_hands_over_loses_nothing(
    cluster, effects, witness
):
    witness.looks_away = True  # what was not written yet is called twice
    celery = cluster(track="handoff", batch=20)
    each = send_many(400)
    relay = celery.relay()
    wait_until(lambda: finished().count() > 20, "it has begun")

    relay.kill_all()
    overdue()
    wait_until_empty(celery.relay())
    celery.worker_without_database("-c", "4")
    # Two batches, which were under way, may be called twice.
    wait_until(lambda: effects.counts("ended").keys() == each.keys(), "all have run")

    assert finished(state="SUCCESSFUL", attempt=1).count() == 400


@once
def test_workers_without_the_database_reply_to_the_relay(cluster, effects):
    celery = cluster(track="result")
    each = send_many(20)
    failing, along = send(fail, "f"), send(awork, "along", 0)
    relay, worker = celery.relay(), celery.worker_without_database()

    wait_until_empty(relay)

    assert effects.counts("ended") == {**each, "along": 1}
    assert reasons(wait_until_finished(failing)) == ["failed"] * 3
    assert wait_until_finished(along).state == "SUCCESSFUL"
    assert finished(state="SUCCESSFUL", attempt=1).count() == 21
    assert worker.stop() == 0
    wait_until(lambda: not Worker.objects.filter(facts__kind="engine"), "it has left")
    assert relay.stop() == 0


@on_demand
def test_jobs_outlive_the_death_of_a_worker_without_the_database(
    cluster, effects, tmp_path
):
    celery = cluster(track="result", lease=8)
    each = send_many(20)
    gate = tmp_path / "gate"
    slow = send(work_until, "slow", str(gate))
    relay, worker = celery.relay(), celery.worker_without_database()
    wait_until(lambda: Job.objects.count() == 1, "only one is left")
    wait_until(Job.objects.filter(state="RUNNING").exists, "it is known to run")

    worker.kill_all()
    gate.touch()
    celery.worker_without_database()
    wait_until_empty(relay)

    assert effects.counts("ended") == {**each, "slow": 1}
    assert reasons(wait_until_finished(slow)) == ["lost"]


@on_demand
def test_replies_outlive_the_deaths_of_relays_that_have_read_them(cluster, effects):
    celery = cluster(track="result", batch=50)
    each = send_many(300)
    relay, worker = celery.relay(), celery.worker_without_database()
    for ended in (20, 120, 220):
        wait_until(lambda least=ended: finished().count() >= least, f"{ended} ended")
        relay.kill_all()
        relay = celery.relay()

    wait_until_empty(relay, seconds=2 * PATIENCE)

    assert effects.counts("ended").keys() == each.keys()
    assert finished(state="SUCCESSFUL").count() == 300
    assert worker.process.poll() is None


@on_demand
def test_replies_wait_for_a_broker_that_does_not_answer(
    cluster, broker, effects, tmp_path
):
    celery = cluster(track="result")
    gate = tmp_path / "gate"
    slow = send(work_until, "slow", str(gate))
    relay, worker = celery.relay(), celery.worker_without_database()
    effects.wait_for("began", "slow")

    with broker.silent():
        gate.touch()
        effects.wait_for("ended", "slow")
        worker.wait_for_output("has ended, unsaid")
    wait_until_empty(relay)

    assert wait_until_finished(slow).attempt == 1


@on_demand
def test_of_three_messages_that_say_the_same_one_ends_the_job(
    cluster, effects, witness
):
    witness.looks_away = True  # no row is asked before it runs
    celery = cluster(track="result", transport="tests.relay.faulty.ThriceTransport")
    each = send_many(20)
    relay = celery.relay()
    celery.worker_without_database("-c", "3")
    wait_until_empty(relay)

    effects.wait_for("ended", times=60)
    assert effects.counts("ended") == dict.fromkeys(each, 3)
    assert finished(state="SUCCESSFUL", attempt=1).count() == 20


@on_demand
def test_a_job_that_is_cancelled_in_the_broker_ends_once(cluster, effects, witness):
    witness.looks_away = True  # the function runs nevertheless
    celery = cluster(track="result")
    relay = celery.relay()
    cancelled, other = send(note, "cancelled"), send(note, "other")
    wait_until(is_confirmed(2), "they are published")

    jobs.cancel(cancelled)
    celery.worker_without_database()
    effects.wait_for("ended", times=2)
    wait_until_empty(relay)

    assert wait_until_finished(cancelled).state == "CANCELLED"
    assert wait_until_finished(other).state == "SUCCESSFUL"


@on_demand
def test_a_job_that_does_not_stop_costs_a_process_without_the_database(
    cluster, effects
):
    celery = cluster(track="result")
    result = send(swallow, "stubborn")
    relay = celery.relay()
    celery.worker_without_database("-c", "1")

    wait_until_finished(result)
    send(note, "after")
    wait_until_empty(relay)

    assert reasons(finished(pk=result.id).get()) == ["timeout"]
    assert effects.counts("ended")["after"] == 1


@on_demand
def test_an_outage_that_is_longer_than_a_lease_costs_no_job_an_attempt(
    cluster, broker, effects, tmp_path
):
    celery = cluster(track="result", lease=15)
    gate = tmp_path / "gate"
    results = [send(work_until, name, str(gate)) for name in ("a", "b")]
    relay, worker = celery.relay(**SHORT), celery.worker_without_database(**SHORT)
    effects.wait_for("began", times=2)
    wait_until(lambda: Job.objects.filter(state="RUNNING").count() == 2, "both run")
    began = timezone.now()

    with broker.silent():
        outage = timedelta(seconds=40)
        wait_until(lambda: timezone.now() > began + outage, "it takes long")
        gate.touch()
        effects.wait_for("ended", times=2)
    wait_until_empty(relay)

    assert [reasons(wait_until_finished(result)) for result in results] == [[], []]
    assert worker.process.poll() is None
