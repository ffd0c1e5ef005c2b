"""The track "result": workers without the rows reply, and the relay writes it."""

import json
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.test import override_settings

from dbqueue import enqueue, jobs
from dbqueue.dialects import hooks
from dbqueue.maintenance import leases
from dbqueue.maintenance.rescue import rescue_orphans
from dbqueue.models import FinishedJob, Job, JobState, Statistic, Worker
from dbqueue.relay.dispatching import Dispatcher
from dbqueue.relay.engines import engines
from dbqueue.relay.models import Dispatch
from dbqueue.relay.tracks import post, replies
from dbqueue.relay.tracks.replies import Reply
from tests import tasks
from tests.relay.conftest import leave
from tests.relay.conftest import tasks as settings
from tests.relay.test_relay import VIDEO, job, overdue, send
from tests.relay.transports import MemoryTransport
from tests.support.processes import wait_until
from tests.support.workers import together


@pytest.fixture
def away(engine):
    """Give the queue "video" an engine whose workers reply."""
    with override_settings(TASKS=settings(track="result")):
        yield engine
        leave()


def run(*messages):
    """Have the engine run the messages in a thread; return what became of them.

    No connection to the database is made there.
    """

    def start():
        try:
            transport = MemoryTransport(VIDEO, {})
            return [transport.start(message.as_json()) for message in messages]
        finally:
            assert connection.connection is None

    return together(start)[0]


def ended(result):
    return FinishedJob.objects.get(pk=result.id)


def said(kind):
    """Return the replies of this kind that wait."""
    every = map(Reply.of, MemoryTransport.replies)
    return [reply for reply in every if reply.kind == kind]


def forget_all_but(kind):
    MemoryTransport.replies[:] = [reply.as_json() for reply in said(kind)]


def test_a_job_ends_by_the_reply_of_a_worker_without_the_database(away):
    result = send(tasks.add, 2, 3)
    (message,) = away.relay()

    assert run(message) == ["SUCCESSFUL"]
    assert job(result).state == JobState.READY
    away.read()

    result.refresh()
    assert (result.return_value, result.attempts) == (5, 1)
    row = ended(result)
    assert row.worker_id == post._posts["default", VIDEO].id
    assert row.duration > 0
    assert not Dispatch.objects.exists()
    assert {counted.succeeded for counted in Statistic.objects.all()} == {1}
    assert MemoryTransport.replies == []


def test_a_job_runs_for_the_row_once_its_start_has_come(away):
    result = send(tasks.add, 2, 3)
    run(*away.relay())
    ends = said("ended")
    forget_all_but("started")

    away.read()

    row, worker = job(result), Worker.objects.get()
    assert (row.state, row.attempt, row.worker_id) == ("RUNNING", 1, worker.pk)
    assert worker.facts == {"kind": "engine"}
    assert not Dispatch.objects.exists()
    MemoryTransport.replies += [ends[0].as_json()]
    away.read()
    assert ended(result).state == "SUCCESSFUL"


@pytest.mark.parametrize("lost", ["started", "nothing"])
def test_an_end_that_comes_three_times_or_without_its_start_ends_once(away, lost):
    result = send(tasks.add, 2, 3)
    run(*away.relay())
    if lost == "started":
        forget_all_but("ended")
    MemoryTransport.replies *= 3

    away.read()

    assert ended(result).attempt == 1
    assert not Job.objects.exists()


def test_replies_that_come_in_the_wrong_order_end_the_job(away):
    result = send(tasks.add, 2, 3)
    run(*away.relay())
    MemoryTransport.replies.reverse()
    first, *others = MemoryTransport.replies
    MemoryTransport.replies[:] = [first]
    away.read()
    MemoryTransport.replies[:] = others

    away.read()

    assert ended(result).attempt == 1
    assert not Job.objects.exists()


def test_a_message_that_is_run_three_times_ends_its_job_once(away):
    result = send(tasks.add, 2, 3)
    (message,) = away.relay()

    run(message)
    leave()  # the next two are in another process
    run(message, message)
    away.read()

    assert ended(result).attempt == 1
    assert FinishedJob.objects.count() == 1
    assert not Job.objects.exists()


def test_a_message_that_comes_again_while_its_job_runs_here_starts_nothing(away):
    send(tasks.snooze, 0.5)
    (message,) = away.relay()
    transport = MemoryTransport(VIDEO, {})

    found = together(*[lambda: transport.start(message.as_json())] * 2)

    assert sorted(found) == ["SUCCESSFUL", "stale"]
    away.read()
    assert FinishedJob.objects.get().state == "SUCCESSFUL"


def test_a_job_that_runs_here_already_by_a_lost_message_runs_apart_from_it(away):
    send(tasks.snooze, 0.5)
    messages = away.relay()
    overdue()
    messages += away.relay()
    transport = MemoryTransport(VIDEO, {})

    found = together(*[lambda m=m: transport.start(m.as_json()) for m in messages])

    assert found == ["SUCCESSFUL"] * 2
    away.read()
    assert FinishedJob.objects.get().state == "SUCCESSFUL"
    assert post._posts["default", VIDEO]._held == {}


def test_replies_come_again_after_a_relay_died_between_reading_and_writing(
    away, monkeypatch
):
    def die(alias, outcomes):
        hooks.after_record.remove(die)
        raise OperationalError("the server has gone")

    monkeypatch.setattr(hooks, "after_record", [*hooks.after_record, die])
    result = send(tasks.add, 2, 3)
    run(*away.relay())
    with pytest.raises(OperationalError):
        away.read()
    assert job(result).state == JobState.READY

    away.read()

    assert ended(result).attempt == 1


def test_two_relays_that_read_the_same_replies_end_each_job_once(away):
    results = [send(tasks.add, n, n) for n in range(20)]
    run(*away.relay())
    texts = list(MemoryTransport.replies)

    def write():
        dispatcher = Dispatcher(*engines())
        dispatcher.track.write(texts)
        dispatcher.close()

    together(write, write)

    assert FinishedJob.objects.filter(attempt=1).count() == len(results)
    assert not Job.objects.exists()


def test_a_job_that_fails_is_tried_again_by_its_row(away):
    result = send(tasks.fail)
    (first,) = away.relay()

    assert run(first) == ["READY"]
    away.read()

    waiting = job(result)
    assert (waiting.state, waiting.failures) == (JobState.SCHEDULED, 1)
    Job.objects.update(state="READY")
    (second,) = away.relay()
    assert (second.call.attempt, second.call.failures) == (2, 1)
    assert run(second) == ["FAILED"]
    away.read()
    row = ended(result)
    assert (row.attempt, row.exception) == (2, "builtins.ValueError")
    assert [entry["attempt"] for entry in row.attempt_log] == [1, 2]
    assert "no luck" in row.attempt_log[0]["traceback"]


def test_async_tasks_and_typed_values_come_back(away):
    first, second = send(tasks.aadd, 2, 3), send(tasks.send_typed, timedelta(days=1))

    run(*away.relay())
    away.read()

    first.refresh()
    second.refresh()
    assert first.return_value == 5
    assert second.status == "SUCCESSFUL"


def test_progress_comes_back(away):
    result = send(tasks.make_progress, (1, 4, "first"), (4, 4, "last"))
    (message,) = away.relay()
    (engine,) = engines()
    mine = post.Post(engine)

    mine._note(mine.id, [(job(result).pk, 1, '{"value": 4}')])
    MemoryTransport.replies += [mine._of(replies.STARTED, message).as_json()]
    mine._beat_if_due()
    away.read()

    assert job(result).progress == {"value": 4}
    assert mine._progress == {}


def test_a_start_that_was_lost_is_said_again_by_a_worker_that_is_alive(away):
    result = send(tasks.add, 2, 3)
    (message,) = away.relay()
    mine = post.Post(*engines())
    mine._held[job(result).pk] = message
    mine._beat_at -= 1000.0

    mine._beat_if_due()
    away.read()

    row = job(result)
    assert (row.state, row.attempt, row.worker_id) == ("RUNNING", 1, mine.id)
    assert not Dispatch.objects.exists()


def test_a_job_that_runs_for_too_long_is_stopped(away):
    result = send(tasks.spin)

    assert run(*away.relay()) == ["FAILED"]
    away.read()

    assert ended(result).attempt_log[-1]["reason"] == "timeout"


def test_a_part_of_a_job_is_limited_in_a_process_of_several_engines(away):
    result = send(tasks.spin_in_a_part)
    messages = away.relay()
    with post._posted(messages[0]):
        pass  # the process is a worker of this engine
    post.Post(*engines())  # and of another one since

    run(*messages)
    away.read()

    assert "A part of the job" in ended(result).attempt_log[-1]["message"]


def test_a_job_that_was_cancelled_in_the_broker_stays_so(away):
    result = send(tasks.add, 2, 3)
    (message,) = away.relay()

    jobs.cancel(result)
    run(message)
    away.read()

    assert ended(result).state == "CANCELLED"
    assert not Job.objects.exists()


def test_a_job_that_is_cancelled_while_it_runs_is_not_tried_again(away):
    result = send(tasks.fail)
    run(*away.relay())
    ends = said("ended")
    forget_all_but("started")
    away.read()

    jobs.cancel(result)
    MemoryTransport.replies += [ends[0].as_json()]
    away.read()

    assert ended(result).state == "CANCELLED"


def test_the_jobs_of_a_worker_that_is_silent_for_a_lease_run_again(away):
    result = send(tasks.add, 2, 3)
    run(*away.relay())
    late = said("ended")
    forget_all_but("started")
    away.read()

    Worker.objects.update(expires_at="2020-01-01T00:00:00Z")
    rescue_orphans("default", condemning=True)

    waiting = job(result)
    assert (waiting.state, waiting.failures) == (JobState.READY, 1)
    (again,) = away.relay()
    MemoryTransport.replies += [late[0].as_json()]
    away.read()
    assert job(result).state == JobState.READY
    assert run(again) == ["SUCCESSFUL"]
    away.read()
    assert (ended(result).attempt, Worker.objects.count()) == (2, 1)


def test_a_job_whose_end_is_lost_runs_again_although_its_worker_is_alive(away):
    result = send(tasks.add, 2, 3)
    run(*away.relay())
    forget_all_but("started")
    alive = post._posts["default", VIDEO]._say(replies.ALIVE).as_json()
    with override_settings(TASKS=settings(track="result", lease=1)):
        dispatcher = Dispatcher(*engines())
    dispatcher.track.write([*MemoryTransport.replies, alive])
    assert job(result).state == JobState.RUNNING

    def is_ready():
        dispatcher.track.write([alive])
        return job(result).state == JobState.READY

    wait_until(is_ready, "it is rescued")

    dispatcher.close()
    assert job(result).failures == 1
    assert Worker.objects.exists()


def test_an_older_message_ends_nothing(away):
    result = send(tasks.add, 2, 3)
    (lost,) = away.relay()
    overdue()
    (again,) = away.relay()

    run(lost)
    away.read()

    assert job(result).state == JobState.READY
    run(again)
    away.read()
    assert ended(result).attempt == 1


def test_a_worker_that_leaves_is_on_record_and_not_lost(away):
    send(tasks.add, 2, 3)
    run(*away.relay())
    away.read()

    post.leave()
    away.read()

    assert not Worker.objects.exists()
    assert Worker.everyone.get().was_lost is False


def test_a_worker_that_has_left_does_not_come_back_by_a_late_reply(away):
    send(tasks.add, 2, 3)
    run(*away.relay())
    late = list(MemoryTransport.replies)
    away.read()
    post.leave()
    away.read()

    MemoryTransport.replies += late
    away.read()

    assert not Worker.objects.exists()


def test_a_task_that_ends_in_its_row_fails_with_the_way_out(away):
    result = send(tasks.write_group, "g")

    assert run(*away.relay()) == ["FAILED"]
    away.read()

    assert "Drop atomic=True" in ended(result).attempt_log[-1]["message"]


def test_a_job_that_says_that_its_claim_is_lost_does_not_run_for_ever(away):
    result = send(tasks.lose_the_claim)

    assert run(*away.relay()) == ["FAILED"]
    away.read()

    assert ended(result).exception == "dbqueue.exceptions.ClaimLost"


def test_no_more_run_at_once_than_the_queue_allows(away):
    with override_settings(DBQUEUE={"QUEUES": {VIDEO: {"concurrency": 1}}}):
        for n in range(2):
            send(tasks.add, n, n)
        (first,) = away.relay()
        assert away.relay() == []
        run(first)
        away.read()

        assert len(away.relay()) == 1


ID = "0" * 32
ALIVE = {"kind": "alive", "worker": ID, "host": "h", "pid": 1}
END = {**ALIVE, "kind": "ended", "id": ID, "token": ID, "attempt": 1}


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "{}",
        '{"kind": "odd", "worker": "x"}',
        "[" * 100_000,
        *(
            json.dumps({**ALIVE, **change})
            for change in [
                {"running": 5},
                {"running": "abc"},
                {"running": [["zz", 1, ID]]},
                {"running": [[ID, "1", ID]]},
                {"running": [[ID, 1, "zz"]]},
                {"progress": [[ID, 1, {}]]},
                {"pid": "x"},
                {"pid": 2**40},
                {"host": None},
            ]
        ),
        *(
            json.dumps({**END, **change})
            for change in [
                {"attempt": None},
                {"outcome": [1]},
                {"outcome": {}},
                {"outcome": {"state": "RUNNING"}},
                {"outcome": {"state": "FAILED", "failed": "x"}},
                {"outcome": {"state": "SUCCESSFUL", "result": {}}},
                {"outcome": {"state": "SUCCESSFUL", "duration": float("nan")}},
                {"outcome": {"state": "READY", "delay": float("inf")}},
                {"outcome": {"state": "READY", "delay": 10**400}},
            ]
        ),
    ],
)
def test_what_is_no_reply_is_dropped_and_keeps_no_other_from_being_read(away, text):
    result = send(tasks.add, 2, 3)
    run(*away.relay())
    MemoryTransport.replies.insert(0, text)

    away.read()

    assert MemoryTransport.replies == []
    assert ended(result).state == "SUCCESSFUL"


def test_an_end_that_the_database_does_not_take_fails_its_job(away):
    result, other = send(tasks.add, 2, 3), send(tasks.add, 1, 1)
    run(*away.relay())
    ends = said("ended")
    for reply in ends:
        if reply.id == job(result).pk.hex:
            reply.outcome["result"] = '"\\u0000'
    MemoryTransport.replies[:] = [reply.as_json() for reply in ends]

    away.read()

    assert ended(result).state == "FAILED"
    assert ended(other).state == "SUCCESSFUL"


def test_a_stale_end_that_the_database_does_not_take_fails_no_other_attempt(away):
    result = send(tasks.add, 2, 3)
    run(*away.relay())
    (stale,) = said("ended")
    forget_all_but("started")
    away.read()
    Job.objects.update(attempt=2)  # the same worker has it once more
    stale.outcome["result"] = '"\\u0000'
    MemoryTransport.replies[:] = [stale.as_json()]

    away.read()

    assert job(result).state == "RUNNING"


def test_a_worker_without_the_engine_in_its_settings_says_what_to_do(away):
    send(tasks.add, 2, 3)
    (message,) = away.relay()

    with (
        override_settings(TASKS={"default": {**settings()["default"], "OPTIONS": {}}}),
        pytest.raises(Exception, match="Give the engine's workers the same TASKS"),
    ):
        run(message)


def test_a_relay_can_be_told_to_write_what_was_replied_and_end(away):
    from django.core.management import call_command

    result = send(tasks.add, 2, 3)
    run(*away.relay())

    call_command("runrelay", "--drain", verbosity=0)

    assert ended(result).state == "SUCCESSFUL"


def test_what_was_replied_while_no_relay_ran_is_written_before_it_counts_as_lost(away):
    from django.core.management import call_command

    result = send(tasks.add, 2, 3)
    run(*away.relay())
    overdue()

    call_command("runrelay", "--drain", verbosity=0)

    assert ended(result).state == "SUCCESSFUL"
    assert len(away.messages) == 1


def test_a_relay_publishes_nothing_again_until_it_has_read_what_was_replied(away):
    result = send(tasks.add, 2, 3)
    run(*away.relay())
    overdue()
    dispatcher = Dispatcher(*engines())
    dispatcher.reader._wait("Database trouble", OperationalError("gone"), 1.0)

    dispatcher.step()
    assert len(away.messages) == 1
    dispatcher.reader._read_some()
    assert dispatcher.reader.is_behind
    dispatcher.reader._read_some()

    assert not dispatcher.reader.is_behind
    assert ended(result).state == "SUCCESSFUL"
    dispatcher.close()


def test_a_reader_looks_for_the_database_before_others_rescue(away, monkeypatch):
    pauses = []
    dispatcher = Dispatcher(*engines())
    reader = dispatcher.reader

    def fail(write, seconds):
        raise OperationalError("the server has gone")

    def note(seconds):
        pauses.append(seconds)
        if len(pauses) == 12:
            reader._stopping.set()

    monkeypatch.setattr(dispatcher.transport, "receive", fail)
    monkeypatch.setattr(reader._stopping, "wait", note)
    with override_settings(DBQUEUE={"LEASE": 12}):
        together(reader._read)

    dispatcher.close()
    assert (pauses[0], max(pauses)) == (0.2, 2.0)


def test_a_lease_of_one_that_is_known_is_renewed(away):
    id, (engine,) = uuid4(), engines()
    leases.register(
        "default",
        id,
        name="x",
        host="h",
        pid=1,
        queues=VIDEO,
        lease=1,
        facts={"kind": "engine"},
    )
    before = Worker.objects.get().expires_at
    alive = Reply(kind=replies.ALIVE, worker=id.hex, host="h", pid=1)

    dispatcher = Dispatcher(engine)
    dispatcher.track.write([alive.as_json()])

    dispatcher.close()
    wait_until(lambda: Worker.objects.get().expires_at > before, "it is renewed")


@pytest.mark.parametrize("kind", ["ended", "alive", "left"])
def test_a_reply_moves_no_job_of_a_worker_of_another_kind(away, kind):
    other, id = enqueue(tasks.add, 2, 3), uuid4()
    leases.register("default", id, name="x", host="h", pid=1, queues="*", lease=60)
    Job.objects.update(state="RUNNING", worker_id=id, attempt=1)
    leases.condemn("default")
    before = Worker.everyone.values().get()
    pk = job(other).pk.hex
    said = {"worker": id.hex, "host": "h", "pid": 1, "id": pk, "token": pk}
    outcome = {"state": "SUCCESSFUL", "result": "1", "record": None, "delay": 0}
    notes = [(pk, 1, '{"value": 4}')]
    reply = Reply(
        kind=kind, attempt=1, outcome=outcome, progress=notes, running=[], **said
    )

    MemoryTransport.replies.append(reply.as_json())
    away.read()

    row = job(other)
    assert (row.state, row.progress) == ("RUNNING", None)
    assert Worker.everyone.values().get() == before
    assert MemoryTransport.replies == []


def test_a_reply_ends_no_job_of_another_queue(away):
    send(tasks.add, 2, 3)
    run(*away.relay())
    (end,) = said("ended")
    away.read()
    other = enqueue(tasks.add, 2, 3)
    Job.objects.update(state="RUNNING", worker_id=end.worker_id, attempt=1)
    forged = replace(end, id=job(other).pk.hex)

    MemoryTransport.replies.append(forged.as_json())
    away.read()

    assert job(other).state == "RUNNING"


def test_a_worker_that_leaves_before_its_last_reply_is_read_loses_no_job(away):
    result = send(tasks.add, 2, 3)
    run(*away.relay())
    ends = said("ended")
    forget_all_but("started")
    away.read()

    post.leave()
    away.read()
    rescue_orphans("default", condemning=True)
    MemoryTransport.replies += [ends[0].as_json()]
    away.read()

    assert (ended(result).attempt, ended(result).state) == (1, "SUCCESSFUL")


def test_a_message_counts_no_longer_than_its_job_may_wait(away):
    send(tasks.noop, expires=100)
    send(tasks.noop)

    messages = away.relay()

    limited, other = sorted(messages, key=lambda message: message.expires)
    assert 0 < limited.expires <= 100
    assert other.expires == 900
