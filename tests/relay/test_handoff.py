"""The track "handoff": an outbox, whose jobs end when the engine has their message."""

from dataclasses import replace
from datetime import timedelta
from threading import Event
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection, transaction
from django.test import override_settings

from dbqueue import Unique, bind_context, enqueue, jobs
from dbqueue.dialects import hooks
from dbqueue.exceptions import AtomicUnavailable
from dbqueue.models import FinishedJob, Job, Statistic
from dbqueue.queues import pause, resume
from dbqueue.relay import Message
from dbqueue.relay.checks import check_engines
from dbqueue.relay.dispatching import Dispatcher
from dbqueue.relay.engines import engines
from dbqueue.relay.models import Dispatch
from dbqueue.tasks.decorator import declared_tasks
from dbqueue.tasks.framework import task_finished
from tests import tasks
from tests.relay.conftest import tasks as settings
from tests.relay.test_relay import VIDEO, overdue, send
from tests.relay.transports import MemoryTransport
from tests.support.processes import PATIENCE, wait_until
from tests.support.workers import drain, heard, together, waiting_for_locks


@pytest.fixture
def outbox(engine):
    """Give the queue "video" an engine to which its jobs are handed over."""
    with override_settings(TASKS=settings(track="handoff")):
        yield engine


def call(message):
    """Have the engine make the call in a thread; return what it returns.

    No connection to the database is made there.
    """

    def run():
        try:
            return MemoryTransport(VIDEO, {}).start(message.as_json())
        finally:
            assert connection.connection is None

    return together(run)[0]


def ended(result):
    return FinishedJob.objects.get(pk=result.id)


def test_a_job_ends_when_the_engine_has_its_message_and_is_called_there(outbox):
    result = send(tasks.add, 2, 3)
    drain()
    assert Job.objects.filter(pk=result.id, state="READY").exists()

    (message,) = outbox.relay()

    row = ended(result)
    assert (row.state, row.attempt, row.result) == ("SUCCESSFUL", 1, None)
    assert (row.duration, row.attempt_log) == (None, [])
    assert not Dispatch.objects.exists()
    assert not Job.objects.exists()
    assert call(message) == 5
    assert outbox.relay() == []


@pytest.mark.parametrize("value", ["Ünïcode ☃ 'quoted' \"twice\"", {"a": [1, None]}])
def test_arguments_arrive_as_the_job_would_get_them(outbox, value):
    send(tasks.echo, value)

    (message,) = outbox.relay()

    assert call(Message.of(message.as_json())) == value


def test_values_of_the_codec_typed_keep_their_types(outbox):
    send(tasks.tell_own_arguments, timedelta(days=1))

    (message,) = outbox.relay()

    assert "timedelta" in str(call(message))


def test_async_tasks_are_called_too(outbox):
    send(tasks.aadd, 2, 3)

    (message,) = outbox.relay()

    assert call(message) == 5


def test_what_was_bound_where_it_was_enqueued_is_bound_in_the_engine(outbox):
    with bind_context(request_id="r1"):
        send(tasks.tell_context)

    (message,) = outbox.relay()

    assert call(message) == {"request_id": "r1"}


def test_what_the_function_raises_is_for_the_engine(outbox):
    result = send(tasks.fail)
    (message,) = outbox.relay()

    with pytest.raises(ValueError, match="no luck"):
        call(message)

    assert ended(result).state == "SUCCESSFUL"


def test_what_is_rolled_back_is_not_handed_over(outbox):
    with transaction.atomic():
        send(tasks.noop)
        transaction.set_rollback(True)

    assert outbox.relay() == []


def test_a_job_whose_message_is_not_confirmed_waits_and_is_published_again(outbox):
    result = send(tasks.add, 2, 3)
    MemoryTransport.is_away = True
    outbox.relay()
    assert Job.objects.get(pk=result.id).state == "READY"

    MemoryTransport.is_away = False
    overdue()
    (message,) = outbox.relay()

    assert message.dispatch == 2
    assert ended(result).attempt == 1


def test_only_what_is_confirmed_ends(outbox):
    transport = "tests.relay.transports.HalfTransport"
    for n in range(2):
        send(tasks.add, n, n)

    with override_settings(
        TASKS=settings(transport=transport, publishers=1, track="handoff")
    ):
        assert len(outbox.relay()) == 2

    assert FinishedJob.objects.count() == 1
    assert Job.objects.count() == 1


def test_a_relay_that_died_before_it_wrote_publishes_again(outbox):
    result = send(tasks.add, 2, 3)
    with override_settings(TASKS=settings()):  # as far as a relay may have come
        outbox.relay()
    Dispatch.objects.update(confirmed_at=None)
    assert outbox.relay() == []

    overdue()
    (again,) = outbox.relay()

    assert again.dispatch == 2
    assert ended(result).state == "SUCCESSFUL"


def test_what_the_database_did_not_take_is_written_later_and_not_published_again(
    outbox, monkeypatch
):
    def break_once(alias, outcomes):
        hooks.after_record.remove(break_once)
        raise OperationalError("the server has gone")

    monkeypatch.setattr(hooks, "after_record", [*hooks.after_record, break_once])
    result = send(tasks.add, 2, 3)
    dispatcher = Dispatcher(*engines())
    with pytest.raises(OperationalError):
        dispatcher.step()
    assert Job.objects.filter(pk=result.id, state="READY").exists()
    overdue()

    dispatcher.step()

    dispatcher.close()
    assert ended(result).state == "SUCCESSFUL"
    assert len(outbox.messages) == 1


def test_two_relays_hand_a_job_over_once(outbox):
    for n in range(30):
        send(tasks.add, n, n)

    together(outbox.relay, outbox.relay)

    assert len({message.id for message in outbox.messages}) == 30
    assert len(outbox.messages) == FinishedJob.objects.count() == 30


def test_a_job_that_ends_while_its_row_is_written_is_not_handed_over(
    outbox, only_postgres
):
    first, second = send(tasks.add, 1, 1), send(tasks.add, 2, 2)
    is_held, has_ended = Event(), Event()

    def hold():
        """Have the relay wait in the middle of its statement."""
        with transaction.atomic():
            Dispatch.objects.create(
                job_id=first.id,
                queue_name=VIDEO,
                token=uuid4(),
                expires_at="2020-01-01T00:00:00Z",
            )
            is_held.set()
            assert has_ended.wait(PATIENCE)
            transaction.set_rollback(True)

    def relay():
        assert is_held.wait(PATIENCE)
        outbox.relay()

    def end():
        assert is_held.wait(PATIENCE)
        wait_until(waiting_for_locks, "the relay waits for the first row")
        jobs.cancel(second)
        has_ended.set()

    together(hold, relay, end)

    assert [message.id for message in outbox.messages] == [UUID(first.id).hex]
    assert ended(second).state == "CANCELLED"


def test_a_job_that_was_cancelled_before_is_not_handed_over(outbox):
    result = send(tasks.noop)

    jobs.cancel(result)

    assert outbox.relay() == []
    assert ended(result).state == "CANCELLED"


def test_jobs_of_a_paused_queue_or_task_wait(outbox):
    send(tasks.add, 2, 3)
    for what in (VIDEO, tasks.add):
        pause(what)
        assert outbox.relay() == []
        resume(what)

    assert len(outbox.relay()) == 1


def test_a_job_that_is_too_late_is_not_handed_over(outbox):
    send(tasks.noop)
    Job.objects.update(expires_at="2020-01-01T00:00:00Z")

    assert outbox.relay() == []
    assert Job.objects.exists()


def test_the_engine_is_told_until_when_a_job_may_start(outbox):
    send(tasks.noop, expires=100)
    send(tasks.noop)

    messages = outbox.relay()

    limited, unlimited = sorted(messages, key=lambda m: m.expires is None)
    assert 0 < limited.expires <= 100
    assert unlimited.expires is None


def test_a_chosen_id_is_handed_over_once(outbox):
    chosen = uuid4()
    send(tasks.noop, job_id=chosen)
    assert len(outbox.relay()) == 1
    # As whoever enqueues may do whose snapshot misses the first.
    row = Job(pk=chosen, once=True, state="READY", queue_name=VIDEO)
    row.task, row.backend, row.max_attempts = tasks.noop.module_path, "default", 1
    row.enqueued_at = FinishedJob.objects.get().enqueued_at
    row.save(force_insert=True)

    assert outbox.relay() == []

    assert not Job.objects.exists()


def test_the_key_of_a_unique_job_is_free_once_it_is_handed_over(outbox):
    alone = tasks.echo.using(unique=Unique(key="value"))
    first = send(alone, 1)

    outbox.relay()
    second = send(alone, 1)

    assert first.id != second.id


def test_the_end_is_announced_and_counted(outbox):
    result = send(tasks.noop)

    with heard(task_finished) as calls:
        outbox.relay()

    ((_, told),) = calls
    assert (told.id, told.state) == (result.id, "SUCCESSFUL")
    assert {row.succeeded for row in Statistic.objects.all()} == {1}


def test_heavy_jobs_are_not_read_all_at_once(outbox):
    text = "x" * 1_000_000
    for _ in range(20):
        send(tasks.echo, text)

    first, second = outbox.relay(), outbox.relay()

    assert 0 < len(first) < 10
    assert len(second) > 0


def test_a_task_that_ends_in_its_row_is_refused(outbox):
    enqueue(tasks.write_group.using(queue_name=VIDEO), "g")
    (message,) = outbox.relay()

    with pytest.raises(AtomicUnavailable, match="Drop atomic=True, or use track="):
        call(message)


def test_a_check_tells_of_atomic_tasks_of_the_queue(outbox):
    path = tasks.write_group.module_path
    there = replace(tasks.write_group, queue_name=VIDEO)

    with patch.dict(declared_tasks, {path: there}):
        (error,) = check_engines()
        with pytest.raises(CommandError, match="is atomic"):
            call_command("runrelay", "--drain", verbosity=0)

    assert error.msg.startswith(f"{path!r} is atomic, and its queue 'video' has an")


@pytest.mark.parametrize("column", ["args", "task"])
def test_a_damaged_job_fails_and_stops_no_other(outbox, only_sqlite, column):
    damaged, whole = send(tasks.add, 1, 1), send(tasks.add, 2, 3)
    rows = Job.objects.filter(pk=damaged.id)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        sql = f"UPDATE dbqueue_job SET {column} = CAST(x'ff' AS text) WHERE id = %s"
        cursor.execute(sql, [rows.values_list("pk", flat=True)[0].hex])
        cursor.execute("PRAGMA ignore_check_constraints = OFF")

    (message,) = outbox.relay()

    assert message.id == ended(whole).pk.hex
    assert ended(damaged).state == "FAILED"
