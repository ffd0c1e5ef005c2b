"""A cluster of RabbitMQ that loses the node of the queue's leader, and gets it back.

The relay and the workers were connected to that node. Nobody tells them that it is cut
off: packets vanish.
"""

import pytest

from dbqueue.models import Job
from tests.relay.brokers import QUEUE, REPLIES
from tests.relay.nodes import Nodes
from tests.relay.test_celery import send
from tests.support.processes import finished, on_demand, wait_until, wait_until_empty
from tests.support.worker_tasks import note, work_until

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = on_demand

LEASE = 45.0  # seconds, of "result": TCP alone finds after 70 that a node is cut off

loss = pytest.mark.parametrize("loss", ["cut_off", "killed"])


@pytest.fixture(scope="session")
def nodes(tmp_path_factory):
    """Start a cluster of three nodes, each on a host of its own."""
    nodes = Nodes(tmp_path_factory.mktemp("nodes"))
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.stop()


@pytest.fixture
def broker(nodes):
    nodes.empty()
    return nodes


def send_some(when):
    """Send jobs; return how often each is to run."""
    each = {f"{when} {n}": 1 for n in range(100)}
    for key in each:
        send(note, key)
    return each


@loss
def test_jobs_start_and_end_once_while_the_leader_s_node_is_lost(
    cluster, broker, effects, loss
):
    celery = cluster(batch=20)
    relay, worker = celery.relay(), celery.worker()
    send(note, "first")
    effects.wait_for("ended", "first")
    leader = broker.leader_of(QUEUE)
    each = {"first": 1, **send_some("before")}
    wait_until(lambda: finished().count() > 20, "it has begun")

    with broker.lost(leader, loss):
        each |= send_some("meanwhile")
        wait_until_empty(relay)
        assert broker.leader_of(QUEUE) != leader
    each |= send_some("afterwards")
    wait_until_empty(worker)

    assert effects.counts("ended") == each
    assert finished(state="SUCCESSFUL", attempt=1).count() == len(each)


@loss
def test_replies_arrive_and_leases_hold_while_the_leader_s_node_is_lost(
    cluster, broker, effects, witness, tmp_path, loss
):
    witness.looks_away = True  # no row is asked before a message that came back runs
    celery = cluster(track="result", batch=20, lease=LEASE)
    gate = tmp_path / "gate"
    send(work_until, "slow", str(gate))
    relay, worker = celery.relay(), celery.worker_without_database()
    effects.wait_for("began", "slow")
    leader = broker.leader_of(QUEUE)
    assert broker.leader_of(REPLIES) == leader
    each = {"slow": 1, **send_some("before")}
    wait_until(lambda: finished().count() > 20, "it has begun")

    with broker.lost(leader, loss):
        each |= send_some("meanwhile")
        wait_until(lambda: Job.objects.count() == 1, f"only one is left{relay.output}")
        gate.touch()
        wait_until_empty(relay)
        assert broker.leader_of(REPLIES) != leader
    each |= send_some("afterwards")
    wait_until_empty(worker)

    assert effects.counts("ended").keys() == each.keys()
    assert effects.counts("ended")["slow"] == 1
    assert finished(state="SUCCESSFUL", attempt=1).count() == len(each)


@loss
def test_nothing_is_lost_that_was_handed_over_while_the_leader_s_node_is(
    cluster, broker, effects, witness, loss
):
    witness.looks_away = True  # what was not confirmed in time is published twice
    celery = cluster(track="handoff", batch=20)
    relay, worker = celery.relay(), celery.worker_without_database()
    send(note, "first")
    effects.wait_for("ended", "first")
    leader = broker.leader_of(QUEUE)
    each = {"first": 1, **send_some("before")}
    wait_until(lambda: finished().count() > 20, "it has begun")

    with broker.lost(leader, loss):
        each |= send_some("meanwhile")
        wait_until_empty(relay)
        wait_until(
            lambda: effects.counts("ended").keys() == each.keys(), "all have run"
        )
    each |= send_some("afterwards")
    wait_until_empty(relay)
    wait_until(lambda: effects.counts("ended").keys() == each.keys(), "all ran")

    assert finished(state="SUCCESSFUL", attempt=1).count() == len(each), worker.output
