"""Pauses: nothing is started of what is paused, and all of it when it is resumed."""

import asyncio
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from dbqueue import dialects, enqueue, enqueue_many, queues, status
from dbqueue.dialects.postgresql import statements
from dbqueue.exceptions import NotPausable
from dbqueue.maintenance import parking
from dbqueue.maintenance.promote import promote
from dbqueue.models import Job, Pause
from dbqueue.testing import run_jobs
from tests import tasks
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db(transaction=True)
MAIL = tasks.noop.using(queue_name="mail")


def states():
    return sorted(Job.objects.values_list("state", flat=True))


def next_due():
    return dialects.of("default").next_due()


class TestAQueue:
    @pytest.mark.parametrize("worker", ["mail", "*", "m*"])
    def test_nothing_is_claimed_from_a_paused_queue(self, worker):
        enqueue_many(MAIL, [()] * 3)
        enqueue(tasks.noop)
        queues.pause("mail")

        claimed = HandWorker(worker).claim(10)

        assert {job.queue_name for job in claimed} <= {"default"}
        assert Job.objects.filter(queue_name="mail", state="READY").count() == 3

    def test_all_is_claimed_when_it_is_resumed(self):
        enqueue_many(MAIL, [()] * 3)
        queues.pause("mail")
        worker = HandWorker()
        assert worker.claim(10) == []

        queues.resume("mail")

        assert len(worker.claim(10)) == 3

    def test_what_runs_goes_on(self):
        enqueue(MAIL)
        worker = HandWorker()
        (job,) = worker.claim()

        queues.pause("mail")

        assert worker.finish(job)

    def test_what_was_claimed_and_is_given_back_waits(self):
        enqueue(MAIL)
        worker = HandWorker()
        (job,) = worker.claim()
        queues.pause("mail")

        worker.release(job)

        assert worker.claim() == []
        assert states() == ["READY"]

    def test_scheduled_jobs_become_due_and_wait(self):
        enqueue(MAIL.using(run_after=timedelta(hours=1)))
        queues.pause("mail")
        Job.objects.update(run_after=timezone.now() - timedelta(seconds=1))

        promote("default")

        worker = HandWorker()
        assert worker.claim() == []
        queues.resume("mail")
        assert len(worker.claim()) == 1

    def test_its_backlog_is_no_work_for_idle_workers(self):
        enqueue(MAIL)
        assert next_due().ready

        queues.pause("mail")

        assert not next_due().ready
        assert dialects.of("default").queue_heads() == []
        enqueue(tasks.noop)
        assert next_due().ready
        heads = dialects.of("default").queue_heads()
        assert [head.queue_name for head in heads] == ["default"]

    def test_a_pause_says_who_wanted_it_when_and_why(self):
        before = timezone.now() - timedelta(seconds=60)

        made = queues.pause("mail", by="ada", reason="The server moves")

        (pause,) = queues.paused()
        assert made == pause
        assert (pause.key, pause.paused_by) == ("queue:mail", "ada")
        assert pause.reason == "The server moves"
        assert pause.paused_at > before

    def test_a_second_pause_changes_nothing(self):
        queues.pause("mail", by="ada", reason="first")

        again = queues.pause("mail", by="bob", reason="second")

        assert (again.paused_by, again.reason) == ("ada", "first")
        assert Pause.objects.count() == 1

    def test_a_resume_returns_the_pause_or_none(self):
        queues.pause("mail", by="ada")

        assert queues.resume("mail").paused_by == "ada"
        assert queues.resume("mail") is None
        assert queues.paused() == []

    def test_a_pause_in_a_transaction_that_is_rolled_back_never_was(self):
        enqueue(MAIL)
        with transaction.atomic():
            queues.pause("mail")
            transaction.set_rollback(True)

        assert len(HandWorker().claim()) == 1

    def test_run_jobs_leaves_a_paused_queue(self):
        enqueue(MAIL)
        queues.pause("mail")

        assert run_jobs() == []
        queues.resume("mail")
        assert len(run_jobs()) == 1

    def test_async_code_has_twins(self):
        async def both():
            await queues.apause("mail")
            known = await queues.apaused()
            await queues.aresume("mail")
            return [pause.key for pause in known]

        assert asyncio.run(both()) == ["queue:mail"]
        assert queues.paused() == []


class TestATask:
    def test_its_jobs_are_not_started_and_keep_no_other_waiting(self):
        enqueue_many(tasks.noop, [()] * 3)
        queues.pause(tasks.noop)
        enqueue(tasks.add, 1, 2)

        worker = HandWorker()
        claimed = worker.claim(10)

        assert [job.task for job in claimed] == ["tests.tasks.add"]
        assert states() == ["PAUSED"] * 3 + ["RUNNING"]
        assert worker.claim(10) == []

    def test_all_wait_as_before_when_it_is_resumed(self):
        enqueue_many(tasks.noop, [()] * 3)
        queues.pause("task:tests.tasks.noop")
        worker = HandWorker()
        worker.claim(10)

        queues.resume(tasks.noop)

        assert states() == ["READY"] * 3
        jobs = Job.objects.values_list("attempt", "started_at", "worker_id")
        assert set(jobs) == {(0, None, None)}
        assert {job.attempt for job in worker.claim(10)} == {1}

    def test_what_a_claim_parks_while_it_is_resumed_is_found(self):
        enqueue(tasks.noop)
        queues.pause(tasks.noop)
        HandWorker().claim()
        Pause.objects.all().delete()  # as if the claim had not seen that yet

        assert next_due().parked
        parking.sweep("default")

        assert states() == ["READY"]
        assert not next_due().parked

    def test_jobs_of_others_that_are_paused_stay_parked(self):
        enqueue(tasks.noop)
        enqueue(tasks.echo, 1)
        queues.pause(tasks.noop)
        queues.pause(tasks.echo)
        HandWorker().claim(10)

        queues.resume(tasks.echo)
        parking.sweep("default")

        assert states() == ["PAUSED", "READY"]

    def test_a_parked_job_may_be_cancelled(self):
        result = enqueue(tasks.noop)
        queues.pause(tasks.noop)
        HandWorker().claim()

        assert result.cancel().done == 1
        result.refresh()
        assert result.state == "CANCELLED"

    def test_jobs_with_a_damaged_task_do_not_disturb(self, only_sqlite):
        enqueue(tasks.noop)
        enqueue(tasks.add, 1, 2)
        Job.objects.filter(task="tests.tasks.add").update(task=b"\xff")
        queues.pause(tasks.noop)

        claimed = HandWorker().claim(10)

        assert len(claimed) == 1


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("*", "by its name"),
        ("mail,pdf", "by its name"),
        ("", "neither a task"),
        (None, "neither a task"),
        ("task:", "names no task"),
        ("task:tests.tasks.nope", "no such task"),
        ("x" * 101, "1 to 100"),
        ("operations", "jobs cancel --queue operations"),
        ("queue:operations", "stays open"),
        ("task:dbqueue.admin.acts.bulk.move_all", "stays open"),
    ],
)
def test_what_is_unknown_is_not_paused(what, words):
    with pytest.raises(NotPausable, match=words):
        queues.pause(what)

    assert not Pause.objects.exists()


def test_a_queue_that_no_entry_of_tasks_has_is_not_paused(settings):
    settings.TASKS = {
        "default": {
            "BACKEND": "dbqueue.backend.DatabaseBackend",
            "QUEUES": ["default", "mail"],
        }
    }

    with pytest.raises(NotPausable, match="Did you mean 'mail'"):
        queues.pause("mial")


def test_a_queue_with_the_name_of_a_kind_is_named_in_full():
    pause = queues.pause("queue:task:odd")

    assert pause.key == "queue:task:odd"
    enqueue(tasks.noop.using(queue_name="task:odd"))
    assert HandWorker().claim() == []


def reason():
    return status.reason(Job.objects.get())


class TestTheReason:
    def test_of_a_job_in_a_paused_queue(self):
        enqueue(MAIL)
        HandWorker()
        queues.pause("mail", by="ada", reason="The server moves.")

        assert "queue 'mail' is paused by ada since" in reason()
        assert ": The server moves." in reason()
        assert "queues resume queue:mail" in reason()

    def test_of_a_job_of_a_paused_task(self):
        enqueue(tasks.noop)
        queues.pause(tasks.noop)
        assert "task 'tests.tasks.noop' is paused since" in reason()

        HandWorker().claim()

        assert "task 'tests.tasks.noop' is paused since" in reason()

    def test_of_a_scheduled_job_in_a_paused_queue(self):
        enqueue(MAIL.using(run_after=timedelta(hours=1)))
        queues.pause("mail")

        assert reason().startswith("It is scheduled for ")
        assert "and then: Its queue 'mail' is paused" in reason()

    def test_of_a_job_that_is_tried_again(self):
        enqueue(tasks.afail)
        run_jobs()

        assert reason().startswith("It is tried again at ")
        assert (
            "1 of 2 attempts have failed, the last by builtins.ValueError." in reason()
        )

    def test_of_a_job_that_is_due_and_not_promoted(self):
        enqueue(tasks.noop.using(run_after=timedelta(hours=1)))
        Job.objects.update(run_after=timezone.now() - timedelta(seconds=1))
        assert "No live worker" in reason()

        HandWorker()

        assert "made ready within moments" in reason()

    def test_of_a_job_past_its_deadline(self):
        enqueue(tasks.noop)
        Job.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

        assert "Its deadline was" in reason()

    def test_of_the_next_job_of_each_queue_in_one_go(self):
        enqueue(MAIL)
        enqueue(tasks.noop.using(run_after=timedelta(hours=1)))
        enqueue(tasks.noop.using(queue_name="pdf"))
        queues.pause("mail")
        found = status.queues("default")

        why = status.reasons_by_queue("default", found)

        assert "is paused" in why["mail"]
        assert "scheduled for" in why["default"]
        assert "No live worker takes the queue 'pdf'" in why["pdf"]


def test_a_claim_reads_no_backlog_of_paused_jobs(only_postgres):
    enqueue_many(MAIL, [()] * 3000)
    queues.pause("mail")
    sql = "EXPLAIN (ANALYZE, FORMAT TEXT) "
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE dbqueue_job")
    worker = HandWorker("mail")
    with connection.cursor() as cursor:
        take = statements.take_from((("", statements.ALL),))
        cursor.execute(sql + take, {"queue0": "mail", "limit": 5, "worker": worker.id})
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "One-Time Filter" in plan
    assert "never executed" in plan
