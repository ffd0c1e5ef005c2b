"""What a relay publishes, and which messages start a job; the engine is in memory."""

from uuid import uuid4

import pytest
from django.db import transaction
from django.test import override_settings

from dbqueue import enqueue, jobs, status
from dbqueue.models import FinishedJob, Job, JobState
from dbqueue.queues import pause, resume
from dbqueue.relay import Message
from dbqueue.relay.engines import engines
from dbqueue.relay.models import Dispatch
from dbqueue.relay.relay import Relay
from dbqueue.testing import run_jobs
from tests import tasks
from tests.relay.conftest import tasks as settings
from tests.relay.transports import MemoryTransport
from tests.support.workers import HandWorker, drain, together

VIDEO = "video"


def send(task, *arguments, **options):
    return enqueue(task.using(queue_name=VIDEO, **options), *arguments)


def overdue():
    """Have all messages count as lost."""
    Dispatch.objects.update(expires_at="2020-01-01T00:00:00Z")


def job(result):
    return Job.objects.get(pk=result.id)


def test_a_job_of_an_engine_is_run_by_its_message_and_by_no_worker(engine):
    result = send(tasks.add, 2, 3)
    other = enqueue(tasks.add, 1, 1)

    drain()
    (message,) = engine.relay()
    answer = engine.run(message)

    result.refresh()
    other.refresh()
    assert other.return_value == 2
    assert answer == "SUCCESSFUL"
    assert result.return_value == 5
    assert result.attempts == 1
    assert not Dispatch.objects.exists()


def test_what_is_rolled_back_is_not_published(engine):
    with transaction.atomic():
        send(tasks.noop)
        transaction.set_rollback(True)

    assert engine.relay() == []


def test_a_message_that_comes_three_times_starts_its_job_once(engine):
    result = send(tasks.add, 2, 3)
    (message,) = engine.relay()

    answers = [engine.run(message) for _ in range(3)]

    assert answers == ["SUCCESSFUL", "stale", "stale"]
    assert FinishedJob.objects.get(pk=result.id).attempt == 1


def test_of_several_that_come_at_once_one_starts_the_job(engine):
    from dbqueue.relay.execution import execute

    send(tasks.snooze, 0.1)
    (message,) = engine.relay()

    answers = together(*[lambda: execute(message.as_json())] * 4)

    assert sorted(answers) == ["SUCCESSFUL", "stale", "stale", "stale"]


def test_a_message_that_is_lost_is_published_again_and_counts_no_attempt(engine):
    result = send(tasks.add, 2, 3)
    (lost,) = engine.relay()
    assert engine.relay() == []
    overdue()

    (again,) = engine.relay()

    assert (lost.dispatch, again.dispatch) == (1, 2)
    assert engine.run(lost) == "stale"
    assert engine.run(again) == "SUCCESSFUL"
    assert FinishedJob.objects.get(pk=result.id).attempt == 1


def test_two_relays_publish_a_job_once(engine):
    for n in range(30):
        send(tasks.add, n, n)

    together(engine.relay, engine.relay)

    assert len(engine.messages) == 30
    assert len({message.id for message in engine.messages}) == 30


def test_jobs_are_published_by_their_priority(engine):
    low, high = send(tasks.noop, priority=-5), send(tasks.noop, priority=5)

    published = engine.relay()

    assert [m.name for m in published] == [f"{high.id}.1", f"{low.id}.1"]


def test_a_job_that_fails_is_tried_again_by_its_row(engine):
    result = send(tasks.fail)
    (first,) = engine.relay()

    answer = engine.run(first)

    waiting = job(result)
    assert answer == "READY"
    assert (waiting.state, waiting.failures) == (JobState.SCHEDULED, 1)
    assert engine.run(first) == "stale"
    Job.objects.update(state="READY")
    (second,) = engine.relay()
    assert engine.run(second) == "FAILED"
    assert FinishedJob.objects.get(pk=result.id).attempt == 2


@pytest.mark.parametrize("task", [tasks.aadd, tasks.add])
def test_both_kinds_of_jobs_run(engine, task):
    result = send(task, 2, 3)
    (message,) = engine.relay()

    engine.run(message)

    result.refresh()
    assert result.return_value == 5


def test_progress_comes_back(engine):
    result = send(tasks.make_progress, (1, 4, "first"), (4, 4, "last"))
    (message,) = engine.relay()

    assert engine.run(message) == "SUCCESSFUL"

    result.refresh()
    assert (result.progress.value, result.progress.message) == (4, "last")


def test_a_job_that_raises_what_the_engine_would_end_by_only_fails(
    engine, single_attempt
):
    result = send(tasks.raise_, "SystemExit")
    (message,) = engine.relay()

    assert engine.run(message) == "FAILED"
    assert FinishedJob.objects.get(pk=result.id).exception == "builtins.SystemExit"


def test_a_job_that_is_cancelled_in_the_broker_does_not_start(engine):
    result = send(tasks.add, 2, 3)
    (message,) = engine.relay()

    jobs.cancel(result)

    assert engine.run(message) == "stale"
    assert FinishedJob.objects.get(pk=result.id).state == "CANCELLED"
    assert engine.relay() == []
    assert not Dispatch.objects.exists()


def test_a_job_that_is_moved_to_another_queue_does_not_start_in_the_engine(engine):
    result = send(tasks.add, 2, 3)
    (message,) = engine.relay()

    jobs.move_to(result, "local")

    assert engine.run(message) == "stale"
    drain()
    result.refresh()
    assert result.return_value == 5


def test_no_more_messages_wait_than_the_engine_may_hold(engine):
    for _ in range(5):
        send(tasks.noop)

    with override_settings(TASKS=settings(max_in_broker=2)):
        first, second = engine.relay(), engine.relay()
        engine.messages.remove(first[0])
        engine.run(first[0])
        third = engine.relay()

    assert [len(first), len(second), len(third)] == [2, 0, 1]


def test_messages_of_others_in_the_queue_of_the_broker_count(engine):
    send(tasks.noop)
    engine.messages += [object()] * 2

    with override_settings(TASKS=settings(max_in_broker=2)):
        published = engine.relay()

    assert published == []


def test_no_more_is_published_again_than_the_engine_has_room_for(engine):
    for _ in range(3):
        send(tasks.noop)
    first = engine.relay()
    overdue()

    with override_settings(TASKS=settings(max_in_broker=4)):
        again = engine.relay()
        engine.messages.clear()
        rest = engine.relay()

    assert len(first) == 3
    assert [message.dispatch for message in again + rest] == [2, 2, 2]
    assert len(again) == 1


def test_a_message_that_the_engine_refuses_holds_up_no_other(engine, caplog):
    transport = "tests.relay.transports.PickyTransport"
    refused = send(tasks.noop, priority=10)
    others = [send(tasks.add, n, n) for n in range(3)]

    with override_settings(TASKS=settings(transport=transport, max_in_broker=3)):
        first, second = engine.relay(), engine.relay()
        said = status.reason(job(refused))

    assert {message.id for message in first + second} == {
        other.id.replace("-", "") for other in others
    }
    assert "does not take its message" in said
    assert "too large" in said
    assert f"job id={refused.id}" in caplog.text


def test_a_message_that_was_refused_is_published_once_it_is_taken(engine):
    transport = "tests.relay.transports.PickyTransport"
    result = send(tasks.noop)
    with override_settings(TASKS=settings(transport=transport)):
        engine.relay()
    assert engine.relay() == []
    overdue()

    (message,) = engine.relay()

    assert "message number 2" in status.reason(job(result))
    assert engine.run(message) == "SUCCESSFUL"


def test_a_relay_says_what_has_failed(engine, caplog):
    transport = "tests.relay.transports.ShortTransport"
    send(tasks.noop)

    with override_settings(TASKS=settings(transport=transport)):
        relay = Relay(engines())
        assert not relay._try_round()
        relay._leave()

    assert "zip()" in caplog.text
    assert "Database trouble" not in caplog.text


def test_an_engine_that_fails_in_each_round_keeps_no_other_from_its_jobs(engine):
    tasks_setting = settings()
    given = tasks_setting["default"]["OPTIONS"]["engines"]
    broken = {"transport": "tests.relay.transports.ShortTransport"}
    tasks_setting["default"]["OPTIONS"]["engines"] = {"audio": broken, **given}
    enqueue(tasks.noop.using(queue_name="audio"))
    result = send(tasks.noop)

    with override_settings(TASKS=tasks_setting):
        relay = Relay(engines())
        assert not relay._try_round()
        relay._leave()

    assert [message.id for message in engine.messages] == [job(result).pk.hex]


def test_an_engine_that_is_away_is_tried_again(engine):
    send(tasks.noop)
    MemoryTransport.is_away = True
    engine.relay()
    assert engine.messages == []
    assert not Dispatch.objects.exclude(confirmed_at=None).exists()

    MemoryTransport.is_away = False
    overdue()
    (message,) = engine.relay()

    assert engine.run(message) == "SUCCESSFUL"


def test_a_message_whose_confirm_is_lost_may_start_its_job(engine):
    transport = "tests.relay.transports.HalfTransport"
    results = [send(tasks.add, n, n) for n in range(2)]

    with override_settings(TASKS=settings(transport=transport, publishers=1)):
        messages = list(engine.relay())
        answers = [engine.run(message) for message in messages]

    assert answers == ["SUCCESSFUL"] * 2
    assert FinishedJob.objects.count() == len(results)


def test_a_relay_that_died_before_it_published_loses_nothing(engine):
    result = send(tasks.add, 2, 3)
    engine.relay()
    engine.messages.clear()
    Dispatch.objects.update(confirmed_at=None)
    overdue()

    (message,) = engine.relay()

    assert message.dispatch == 2
    assert engine.run(message) == "SUCCESSFUL"
    assert FinishedJob.objects.get(pk=result.id).attempt == 1


def test_a_paused_queue_publishes_and_starts_nothing(engine):
    result = send(tasks.add, 2, 3)
    (message,) = engine.relay()
    pause(VIDEO)
    send(tasks.noop)

    assert engine.run(message) == "stale"
    assert engine.relay() == []
    overdue()
    assert engine.relay() == []

    resume(VIDEO)
    again = engine.relay()
    assert {engine.run(m) for m in again} == {"SUCCESSFUL"}
    assert FinishedJob.objects.filter(pk=result.id).exists()


def test_a_paused_task_does_not_start(engine):
    result = send(tasks.add, 2, 3)
    (message,) = engine.relay()

    pause(tasks.add)

    assert engine.run(message) == "stale"
    assert job(result).state == JobState.PAUSED


def test_no_more_run_at_once_than_the_queue_allows(engine):
    bound = {"QUEUES": {VIDEO: {"concurrency": 1}}}
    results = [send(tasks.noop) for _ in range(2)]
    with override_settings(DBQUEUE=bound):
        (message,) = engine.relay()
        other = HandWorker()
        (held,) = other.dialect.take_one(other.id, job(results[1]).pk)

        answer = engine.run(message)

        assert answer == "stale"
        assert engine.relay() == []
        other.finish(held)
        overdue()
        (again,) = engine.relay()
        assert engine.run(again) == "SUCCESSFUL"


def test_a_job_that_is_too_late_is_not_run(engine):
    result = send(tasks.add, 2, 3)
    (message,) = engine.relay()
    Job.objects.update(expires_at="2020-01-01T00:00:00Z")

    answer = engine.run(message)

    assert answer == "CANCELLED"
    assert FinishedJob.objects.get(pk=result.id).attempt_log[-1]["reason"] == "expired"


def test_without_its_engine_a_queue_is_for_workers_again(engine):
    result = send(tasks.add, 2, 3)
    (message,) = engine.relay()

    with override_settings(TASKS={"default": {**settings()["default"], "OPTIONS": {}}}):
        drain()

    result.refresh()
    assert result.return_value == 5
    assert engine.run(message) == "stale"


def test_in_tests_of_a_project_jobs_of_an_engine_run_as_others(engine):
    result = send(tasks.add, 2, 3)

    run_jobs()

    result.refresh()
    assert result.return_value == 5


def test_it_is_told_where_a_job_waits(engine):
    result = send(tasks.add, 2, 3)
    assert "runrelay" in status.reason(job(result))

    engine.relay()

    assert "message number 1" in status.reason(job(result))


def test_a_text_that_is_not_a_message_is_refused(engine):
    from dbqueue.relay.execution import execute

    with pytest.raises(ValueError, match="'nothing' is not a message of a relay"):
        execute("nothing")


def test_a_message_of_a_job_that_there_is_not_starts_nothing(engine):
    message = Message(
        id=uuid4().hex,
        dispatch=1,
        token=uuid4().hex,
        backend="default",
        queue=VIDEO,
        task="people.tasks.encode",
        expires=60.0,
    )

    assert engine.run(message) == "stale"
