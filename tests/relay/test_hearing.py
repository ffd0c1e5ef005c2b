"""The leases of workers whose replies no relay can read."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from dbqueue.ids import uuid7
from dbqueue.maintenance import leases
from dbqueue.maintenance.rescue import rescue_orphans
from dbqueue.models import JobState, Worker
from dbqueue.relay.dispatching import Dispatcher
from dbqueue.relay.engines import engines
from dbqueue.relay.tracks.hearing import Hearing
from tests import tasks
from tests.relay.test_relay import VIDEO, job, send
from tests.relay.test_result import away, forget_all_but, run  # noqa: F401  a fixture
from tests.relay.transports import MemoryTransport


class Relay:
    """One that reads replies, and has its row; led by hand."""

    def __init__(self):
        self.dispatcher = Dispatcher(*engines())
        self.reader = self.dispatcher.reader
        self.hearing = Hearing("default", [self.reader])
        self.id = uuid7()
        leases.register(
            "default",
            self.id,
            name="relay",
            host="h",
            pid=1,
            queues=VIDEO,
            lease=30,
            facts={"kind": "relay"},
        )

    def fail_to_read(self):
        self.reader._wait("Replies cannot be read", OperationalError("gone"), 1.0)

    def beat(self):
        self.hearing.keep(self.id)


@pytest.fixture
def make_relay(away):  # noqa: F811
    relays = []

    def make():
        relays.append(Relay())
        return relays[-1]

    yield make
    for relay in relays:
        relay.dispatcher.close()


@pytest.fixture
def running(away):  # noqa: F811
    """Have a job that runs, as far as is known, by a worker that says no more."""
    result = send(tasks.add, 2, 3)
    run(*away.relay())
    forget_all_but("started")
    away.read()
    return result


def fall_silent():
    engine().update(expires_at="2020-01-01T00:00:00Z")


def engine():
    return Worker.objects.of_engine(VIDEO)


def state_after_rescue(result):
    rescue_orphans("default", condemning=True)
    return job(result).state


def test_silence_does_not_count_while_the_only_relay_cannot_read(running, make_relay):
    relay = make_relay()
    fall_silent()

    relay.fail_to_read()
    relay.beat()

    assert state_after_rescue(running) == JobState.RUNNING
    assert Worker.objects.get(pk=relay.id).facts == {"kind": "relay", "deaf": [VIDEO]}


def test_workers_have_a_whole_lease_once_they_are_heard_again(running, make_relay):
    relay = make_relay()
    relay.fail_to_read()
    relay.beat()
    fall_silent()

    relay.reader._read_some()
    relay.beat()

    later = timezone.now() + timedelta(seconds=100)  # of 120
    assert engine().filter(expires_at__gt=later).exists()
    assert Worker.objects.get(pk=relay.id).facts == {"kind": "relay"}
    fall_silent()
    relay.beat()
    assert state_after_rescue(running) == JobState.READY


def test_silence_counts_as_long_as_one_of_two_relays_can_read(running, make_relay):
    deaf, _ = make_relay(), make_relay()
    fall_silent()

    deaf.fail_to_read()
    deaf.beat()

    assert state_after_rescue(running) == JobState.READY


def test_silence_does_not_count_while_none_of_two_relays_can_read(running, make_relay):
    first, second = make_relay(), make_relay()
    for relay in (first, second):
        relay.fail_to_read()
        relay.beat()
    fall_silent()

    first.beat()

    assert state_after_rescue(running) == JobState.RUNNING


def test_both_relays_that_hear_again_at_once_give_workers_time(running, make_relay):
    both = make_relay(), make_relay()
    for _ in range(2):
        for relay in both:
            relay.fail_to_read()
            relay.beat()
    fall_silent()
    for relay in both:
        relay.reader._read_some()

    for relay in both:
        relay.beat()

    assert state_after_rescue(running) == JobState.RUNNING


def test_a_relay_that_stood_still_has_heard_nothing(running, make_relay):
    relay = make_relay()
    fall_silent()

    relay.hearing._kept_at -= 1000.0
    relay.beat()

    assert relay.reader.is_behind
    assert state_after_rescue(running) == JobState.RUNNING


def test_what_a_worker_did_not_run_before_an_outage_is_not_lost_right_after_it(
    running, make_relay
):
    from dbqueue.relay.tracks import post, replies

    relay = make_relay()
    alive = post._posts["default", VIDEO]._say(replies.ALIVE).as_json()
    relay.dispatcher.track.write([alive])
    (missed,) = relay.dispatcher.track._missed.values()
    for key in missed.since:
        missed.since[key] -= 1000.0

    relay.fail_to_read()
    relay.dispatcher.track.write([alive])

    assert job(running).state == JobState.RUNNING


def test_no_memory_is_kept_of_workers_that_have_died(running, make_relay):
    from dbqueue.relay.tracks import post, result

    track = make_relay().dispatcher.track
    dead = uuid7()
    track._missed[dead] = result.Missed(-1000.0, {(dead, 1): -1000.0})

    track.write([post._posts["default", VIDEO]._say("alive").as_json()])

    assert dead not in track._missed


def test_a_worker_says_an_end_also_after_a_long_outage_of_its_engine(
    away,  # noqa: F811
    monkeypatch,
):
    from dbqueue.relay.tracks import post

    send(tasks.add, 2, 3)
    (message,) = away.relay()
    clock, pauses = [0.0], []

    def sleep(seconds):
        clock[0] += 100.0
        pauses.append(seconds)
        MemoryTransport.is_away = len(pauses) < 10

    MemoryTransport.is_away = True
    mine = post.Post(*engines())
    monkeypatch.setattr(post.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(post.time, "sleep", sleep)
    mine._reply_end(mine._of("ended", message))

    assert len(pauses) == 10
