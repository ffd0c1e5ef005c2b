"""What is said of engines in TASKS: read, and refused with the way out."""

import subprocess
import sys

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from dbqueue.models import Job, Worker
from dbqueue.relay import claiming
from dbqueue.relay.checks import check_engines
from dbqueue.relay.engines import engines
from tests.relay.conftest import tasks
from tests.relay.transports import MemoryTransport
from tests.support.processes import once

CELERY = "dbqueue.relay.celery.CeleryTransport"
FULL = "tests.relay.transports.FullTransport"
APP = "tests.relay.celery_app:app"


def problem(**engine):
    """Return what the check says of the engine."""
    with override_settings(TASKS=tasks(**engine)):
        return "".join(error.msg for error in check_engines())


def test_an_engine_is_read_with_its_defaults():
    given = {"transport": CELERY, "app": APP, "queue": "films", "track": "full"}

    with override_settings(TASKS=tasks(**given, dispatch_ttl=60, batch=10)):
        (engine,) = engines()

        assert check_engines() == []
        assert claiming.taken == {"default": {"video"}}
    assert (engine.queue, engine.options["queue"]) == ("video", "films")
    assert (engine.dispatch_ttl, engine.max_in_broker) == (60, 1000)
    assert (engine.batch, engine.publishers) == (10, 8)
    assert claiming.taken == {}


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ({"transport": "nowhere.Transport"}, "cannot be imported"),
        ({"transport": None}, "'dbqueue.relay.celery.CeleryTransport'"),
        ({"transport": "tests.tasks.add"}, "must be the dotted path of a Transport"),
        ({"bach": 1}, "has no 'bach'. Did you mean 'batch'?"),
        ({"batch": 5001}, "['batch'] is 5001; it must be 5000 or less"),
        ({"batch": 0}, "['batch'] is 0; it must be a whole number from 1"),
        ({"publishers": True}, "['publishers'] is True"),
        ({"max_in_broker": 1.5}, "['max_in_broker'] is 1.5"),
        ({"dispatch_ttl": "1"}, "'1'; it must be a number of seconds from 1"),
        (
            {"track": "handof"},
            "is 'handof'; it must be one of full, result, hand",
        ),
        ({"track": 1}, "['track'] is 1; it must be one of full, result, handoff."),
        ({"track": "handoff", "dispatch_ttl": 9}, "is not published again. Remove it"),
        ({"lease": 9}, "'lease' with the track 'full'; it is of the track 'result'"),
        ({"track": "result", "lease": 0}, "['lease'] is 0; it must be a number of"),
        ({"track": "result", "transport": FULL}, "which FullTransport cannot do. It"),
        ({"track": "handoff", "transport": FULL}, "which FullTransport cannot do. It"),
        ({"transport": CELERY}, "has the 'app' None; it must be the path"),
        ({"transport": CELERY, "app": "no.app"}, "'no.app', which cannot be imported"),
        ({"transport": CELERY, "app": "sys.path"}, "which is not a Celery app but"),
        ({"transport": CELERY, "app": APP, "queue": 1}, "has the 'queue' 1; it must"),
        ({"transport": CELERY, "app": APP, "replies": ""}, "the 'replies' ''; it must"),
    ],
)
def test_what_cannot_work_is_refused_with_the_way_out(engine, words):
    assert words in problem(**engine)


def test_what_is_handed_over_cannot_be_limited_while_it_runs():
    bound = {"QUEUES": {"video": {"concurrency": 2}}}

    with override_settings(DBQUEUE=bound):
        words = problem(track="handoff")

    assert "Limit its workers, or use the track 'full'" in words


def test_an_engine_needs_a_queue_of_its_entry():
    wrong = tasks()
    wrong["default"]["QUEUES"] = ["videos"]

    with override_settings(TASKS=wrong):
        (error,) = check_engines()

    assert "no such queue. Did you mean 'videos'?" in error.msg


@pytest.mark.parametrize(
    ("said", "words"), [([], "is []; it must be a dict"), ({"v": 1}, "is 1; it must")]
)
def test_engines_are_a_dict_of_dicts(said, words):
    wrong = tasks()
    wrong["default"]["OPTIONS"]["engines"] = said

    with override_settings(TASKS=wrong):
        (error,) = check_engines()

    assert words in error.msg


def test_a_queue_has_one_engine():
    twice = tasks()
    twice["other"] = twice["default"]

    with override_settings(TASKS=twice):
        (error,) = check_engines()

    assert "both give the queue 'video'" in error.msg


@once
def test_without_celery_the_extra_is_named():
    code = f"""
import sys
sys.modules["celery"] = None
import django
django.setup()
from django.test import override_settings
from dbqueue.relay.checks import check_engines
with override_settings(TASKS={tasks(transport=CELERY)}):
    print(check_engines())
"""

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "pip install 'dbqueue-django[celery]'" in said.stdout, said.stderr


@pytest.mark.django_db
def test_a_relay_without_an_engine_says_what_to_do():
    with pytest.raises(CommandError, match="has no 'engines'"):
        call_command("runrelay")


def test_a_relay_of_a_queue_without_an_engine_says_so(engine):
    with pytest.raises(CommandError, match="'vidoe' has no engine"):
        call_command("runrelay", queue=["vidoe"])


def test_a_relay_can_be_told_to_publish_what_is_ready_and_end(engine):
    from tests.relay.test_relay import send
    from tests.tasks import noop

    send(noop)

    call_command("runrelay", "--drain", verbosity=0)

    assert len(engine.messages) == 1
    assert not Worker.objects.exists()


@pytest.mark.parametrize("track", ["full", "result"])
def test_a_relay_that_is_to_end_says_that_the_engine_is_away(engine, track):
    from tests.relay.test_relay import send
    from tests.tasks import noop

    send(noop)
    MemoryTransport.is_away = True
    said = "The engine of the queue 'video' cannot be reached: the engine is away"

    with (
        override_settings(TASKS=tasks(track=track)),
        pytest.raises(CommandError, match=said),
    ):
        call_command("runrelay", "--drain", verbosity=0)

    assert Job.objects.get().state == "READY"
