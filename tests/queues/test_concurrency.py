"""QUEUES: so many jobs of a queue at once, over all workers."""

from contextlib import closing
from threading import Thread

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.test import override_settings

from dbqueue import conf, enqueue_many, queues, status
from dbqueue.models import Job
from tests import tasks
from tests.settings import url
from tests.support import worker_tasks
from tests.support.processes import wait_until_empty
from tests.support.workers import HandWorker

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)
MAIL = tasks.noop.using(queue_name="mail")
TWO = override_settings(DBQUEUE={"QUEUES": {"mail": {"concurrency": 2}}})


@TWO
def test_no_more_jobs_of_a_queue_run_than_it_allows():
    enqueue_many(MAIL, [()] * 5)
    first, second = HandWorker("mail"), HandWorker("*")

    running = first.claim(10)

    assert len(running) == 2
    assert first.claim(10) == second.claim(10) == []
    second_place = first.finish(running[0])
    assert second_place
    assert len(second.claim(10)) == 1
    assert second.claim(10) == []


@TWO
def test_other_queues_have_no_limit():
    enqueue_many(MAIL, [()] * 3)
    enqueue_many(tasks.noop, [()] * 3)

    claimed = HandWorker("mail", "default").claim(10)

    names = [job.queue_name for job in claimed]
    assert names == ["mail"] * 2 + ["default"] * 3


@TWO
def test_jobs_that_were_there_before_count():
    with override_settings(DBQUEUE={}):
        enqueue_many(MAIL, [()] * 5)
        assert len(HandWorker().claim(3)) == 3

    assert HandWorker().claim(10) == []


@TWO
def test_a_job_with_a_lane_counts_for_its_queue_too():
    enqueue_many(MAIL, [()] * 3)
    Job.objects.update(lane="some:lane")

    assert len(HandWorker().claim(10)) == 2


@TWO
def test_the_reason_says_that_the_queue_is_full():
    enqueue_many(MAIL, [()] * 3)
    HandWorker().claim(10)

    reason = status.reason(Job.objects.ready().get())

    assert reason == "The queue 'mail' is full: 2 of 2 run."


@TWO
def test_a_paused_queue_with_a_limit_is_paused():
    enqueue_many(MAIL, [()] * 3)
    queues.pause("mail")

    assert HandWorker().claim(10) == []


@TWO
def test_a_queue_from_which_another_claims_is_tried_again_soon(only_postgres):
    enqueue_many(MAIL, [()] * 3)
    enqueue_many(tasks.noop, [()] * 1)
    worker = HandWorker()
    with closing(psycopg.connect(url(connection.settings_dict))) as other:
        other.execute(
            "SELECT pg_advisory_xact_lock('dbqueue_job'::regclass::oid::int,"
            " hashtext('mail'))"
        )

        claimed = worker.claim(10)

        assert [job.queue_name for job in claimed] == ["default"]
        assert worker.scan.owed
        other.rollback()
        assert len(worker.claim(10)) == 2
    assert not worker.scan.owed


@TWO
def test_workers_that_claim_at_once_do_not_claim_too_many(database_address):
    enqueue_many(MAIL, [()] * 40)
    seen, errors = [], []

    def work():
        worker = HandWorker()
        try:
            for _ in range(15):
                for job in worker.claim(5):
                    seen.append(Job.objects.running().count())
                    worker.finish(job)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not errors
    assert seen
    assert max(seen) <= 2


def test_processes_keep_to_the_limit(run_worker, effects):
    limit = {"DBQUEUE": {"QUEUES": {"other": {"concurrency": 1}}}}
    alone = worker_tasks.overlap.using(queue_name="other")
    enqueue_many(alone, [(i, f"{effects.path}.lock") for i in range(25)])
    for _ in range(2):
        run_worker("--threads", 4, settings=limit)

    wait_until_empty()

    assert effects.counts() == dict.fromkeys(range(25), 1)
    assert not effects.all("overlapped")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mail": {"concurrency": 0}}, "pause the queue"),
        ({"mail": {"concurrency": True}}, "whole number"),
        ({"mail": {"concurrency": "2"}}, "whole number"),
        ({"mail": {"concurency": 2}}, "Did you mean 'concurrency'"),
        ({"mail": 2}, "must be a dict"),
        ({1: {"concurrency": 2}}, "must be a str"),
        (["mail"], "QUEUES"),
    ],
)
def test_a_wrong_limit_is_refused(given, words):
    with (
        override_settings(DBQUEUE={"QUEUES": given}),
        pytest.raises(ImproperlyConfigured, match=words),
    ):
        conf.current()
