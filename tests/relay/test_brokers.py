"""A broker that is away, full or emptied, and relays that die beside it.

The invariants are asked of every test: each job is in the history exactly once.
"""

import signal

import pytest
from django.db import transaction

from dbqueue.models import FinishedJob, Job
from dbqueue.relay.models import Dispatch
from tests.relay.test_celery import is_confirmed, send, send_many
from tests.relay.test_relay import overdue
from tests.support.processes import (
    SHORT,
    finished,
    on_demand,
    reasons,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)
from tests.support.worker_tasks import note, work_until

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = on_demand


def attempts():
    return set(finished().values_list("attempt", flat=True))


def test_what_was_rolled_back_never_reaches_the_engine(cluster, effects):
    celery, each = cluster(), {}
    relay, worker = celery.relay(), celery.worker()

    for n in range(60):
        with transaction.atomic():
            send(note, str(n))
            if n % 2:
                transaction.set_rollback(True)
            else:
                each[str(n)] = 1
    wait_until_empty(worker)

    assert effects.counts("ended") == each
    assert not Dispatch.objects.exists(), relay.output


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_relay_may_die_when_it_publishes(cluster, broker, effects, moment):
    died = f"tests.relay.faulty.Dies{moment.title()}Publish"
    each = send_many(20)
    relay = cluster(transport=died, publishers=1).relay()
    assert relay.wait() == -signal.SIGKILL
    assert not is_confirmed(1)()
    assert (broker.depth() > 0) is (moment == "after")

    celery = cluster()
    celery.relay()
    overdue()
    wait_until_empty(celery.worker())

    assert effects.counts("ended") == each
    assert attempts() == {1}


def test_of_three_messages_that_say_the_same_one_starts_the_job(cluster, effects):
    celery = cluster(transport="tests.relay.faulty.ThriceTransport")
    each = send_many(20)
    celery.relay()
    wait_until(is_confirmed(20), "all are published")

    worker = celery.worker("-c", "4")
    wait_until_empty(worker)

    wait_until(lambda: worker.output.count("started nothing") == 40, worker.output)
    assert effects.counts("ended") == each
    assert attempts() == {1}


def test_a_broker_that_was_emptied_gets_the_messages_again(cluster, broker, effects):
    celery = cluster(dispatch_ttl=2)
    each = send_many(20)
    celery.relay()
    wait_until(is_confirmed(20), "all are published")

    broker.purge()
    wait_until_empty(celery.worker())

    assert effects.counts("ended") == each
    assert attempts() == {1}


def test_a_queue_that_was_deleted_is_made_again(cluster, broker, effects):
    celery = cluster(dispatch_ttl=2)
    celery.relay()
    send(note, "before")
    wait_until(is_confirmed(1), "it is published")

    broker.empty()
    send(note, "after")
    wait_until_empty(celery.worker())

    assert effects.counts("ended") == {"before": 1, "after": 1}


def test_a_broker_that_is_full_is_waited_for(cluster, broker, effects):
    celery = cluster()
    relay, worker = celery.relay(), celery.worker()
    send(note, "before")
    effects.wait_for("ended", "before")

    with broker.full():
        send(note, "full")
        relay.wait_for_output(broker.full_says)
        assert Job.objects.count() == 1
    wait_until_empty(worker)

    assert effects.counts("ended") == {"before": 1, "full": 1}
    assert attempts() == {1}


def test_a_broker_that_does_not_answer_is_waited_for(cluster, broker, effects):
    celery = cluster()
    relay, worker = celery.relay(), celery.worker()
    send(note, "before")
    effects.wait_for("ended", "before")

    with broker.silent():
        send(note, "silent")
        relay.wait_for_output("cannot be reached")
    wait_until_empty(worker)

    assert effects.counts("ended") == {"before": 1, "silent": 1}
    assert attempts() == {1}


def test_a_broker_that_was_killed_is_waited_for(cluster, broker, effects):
    celery = cluster(dispatch_ttl=3)
    each = send_many(20)
    relay = celery.relay()
    wait_until(is_confirmed(20), "all are published")

    broker.crash()
    try:
        send(note, "later")
        relay.wait_for_output("cannot be reached")
    finally:
        broker.start()
    wait_until_empty(celery.worker())

    assert effects.counts("ended") == {**each, "later": 1}
    assert attempts() == {1}


def test_the_relay_the_broker_and_the_workers_may_die_at_once(
    cluster, broker, effects, tmp_path
):
    celery = cluster(dispatch_ttl=3)
    gate = tmp_path / "gate"
    slow = send(work_until, "slow", str(gate))
    relay, worker = celery.relay(**SHORT), celery.worker("-c", "1", **SHORT)
    effects.wait_for("began", "slow")
    each = send_many(20)
    wait_until(is_confirmed(20), "the others wait in the broker")

    worker.kill_all()
    relay.kill_all()
    broker.crash()
    broker.start()
    gate.touch()
    celery.relay(**SHORT)
    wait_until_empty(celery.worker(**SHORT))

    assert effects.counts("ended") == {**each, "slow": 1}
    assert reasons(wait_until_finished(slow)) == ["lost"]
    assert FinishedJob.objects.filter(attempt=1).count() == 20
