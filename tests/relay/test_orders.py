"""A relay obeys what an operator asks of it, as workers do."""

import signal
import sys

import pytest

from dbqueue.models import Worker
from dbqueue.relay.models import Dispatch
from tests.relay.conftest import tasks
from tests.relay.test_relay import send
from tests.support.processes import MANAGE, SHORT, wait_until
from tests.support.worker_tasks import note

pytest_plugins = ["tests.support.worker_fixtures"]


@pytest.fixture
def relay(start, engine):
    """Start a relay whose engine is in its memory."""
    settings = {"TASKS": tasks(), **SHORT}
    relay = start([sys.executable, MANAGE, "runrelay"], [], settings=settings)
    wait_until(lambda: relays().exists(), "the relay has its row")
    return relay


def relays():
    return Worker.objects.filter(facts__kind="relay")


def has_published(count):
    return lambda: Dispatch.objects.exclude(confirmed_at=None).count() == count


def test_a_quiet_relay_publishes_nothing_until_it_resumes(relay):
    relays().update(asked="quiet")
    wait_until(lambda: relays().filter(is_quiet=True).exists(), "it is quiet")
    send(note, "later")
    before = relays().get().last_seen
    wait_until(lambda: relays().get().last_seen > before, "another heartbeat has come")
    assert not Dispatch.objects.exists()

    relays().update(asked="resume")

    wait_until(has_published(1), "it is published")
    wait_until(lambda: not relays().filter(is_quiet=True), "it is not quiet")


def test_usr2_makes_a_relay_quiet(relay):
    relay.tell(signal.SIGUSR2)

    wait_until(lambda: relays().filter(is_quiet=True).exists(), "it is quiet")
    assert relay.process.poll() is None


def test_an_order_to_stop_ends_a_relay(relay):
    relays().update(asked="stop")

    assert relay.wait() == 0
    assert not Worker.objects.exists()
    assert Worker.everyone.filter(ended_at__isnull=False, was_lost=False).count() == 1
