import signal
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from dbqueue import enqueue
from dbqueue.maintenance import leases
from dbqueue.models import Worker
from tests import tasks
from tests.support.processes import finished, unfinished, wait_until, wait_until_empty
from tests.support.worker_tasks import note
from tests.support.workers import HandWorker

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)
HASTY = {"DBQUEUE": {"LEASE": 3.0}}  # it looks for orders six times in a lease


def wait_for_heartbeats():
    beats = Worker.objects.values_list("last_seen", flat=True)
    before = max(beats)
    wait_until(lambda: min(beats.all()) > before, "another heartbeat has come")


def test_a_quiet_worker_takes_no_jobs_until_it_resumes(run_worker):
    worker = run_worker("--processes", 2, settings=HASTY)
    worker.wait_until_working(2)

    Worker.objects.filter(pid=worker.children()[0]).update(asked="quiet")
    wait_until(lambda: Worker.objects.filter(is_quiet=True).count() == 2, "are quiet")
    wait_for_heartbeats()  # a claim that was under way may still have taken jobs
    enqueue(note, "later")
    wait_for_heartbeats()
    assert unfinished(state="READY").count() == 1

    Worker.objects.update(asked="resume")
    wait_until_empty(worker)

    assert finished().count() == 1
    wait_until(lambda: not Worker.objects.filter(is_quiet=True), "none is quiet")


def test_usr2_makes_a_worker_quiet(run_worker):
    worker = run_worker(settings=HASTY)
    worker.wait_until_working()

    worker.tell(signal.SIGUSR2)

    wait_until(lambda: Worker.objects.filter(is_quiet=True).exists(), "it is quiet")
    assert worker.process.poll() is None


def test_an_order_to_stop_ends_the_whole_command_gracefully(run_worker):
    worker = run_worker("--processes", 2, settings=HASTY)
    worker.wait_until_working(2)

    Worker.objects.filter(pid=worker.children()[1]).update(asked="stop")

    assert worker.wait() == 0
    assert not Worker.objects.exists()
    assert Worker.everyone.filter(ended_at__isnull=False, was_lost=False).count() == 2


def test_a_worker_says_what_it_is(run_worker):
    worker = run_worker("--threads", 3, settings=HASTY)
    (pid,) = worker.wait_until_working()

    row = Worker.objects.get(pid=pid)

    assert row.facts["threads"] == 3
    assert row.facts["command"] == worker.pid
    assert row.facts["settings"] == "tests.support.worker_settings"
    wait_until(lambda: Worker.objects.get(pid=pid).memory, "its memory is known")


def test_a_worker_says_whether_news_reaches_it(only_postgres, run_worker):
    run_worker(settings=HASTY).wait_until_working()
    heard = Worker.objects.values_list("is_listening", flat=True)
    wait_until(lambda: list(heard.all()) == [True], "it hears")

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )

    wait_until(lambda: list(heard.all()) == [False], "it hears no more")


def test_where_no_news_is_sent_a_worker_says_nothing_of_it(run_worker):
    no_news = {"DBQUEUE": {**HASTY["DBQUEUE"], "NOTIFY": False}}
    run_worker(settings=no_news).wait_until_working()
    seen = set(Worker.objects.values_list("last_seen", flat=True))

    beat = Worker.objects.exclude(last_seen__in=seen)
    wait_until(beat.exists, "another heartbeat has come")

    assert Worker.objects.get().is_listening is None


def test_a_worker_that_ended_claims_nothing_and_its_jobs_are_orphaned(worker):
    tasks.noop.enqueue()
    (job,) = worker.claim()
    tasks.noop.enqueue()

    leases.retire("default", worker.id)

    assert worker.claim() == []
    assert unfinished().orphaned().get().pk == job.id
    assert leases.heartbeat("default", [worker.id], lease=9.0) == {worker.id}
    assert Worker.everyone.get().ended_at is not None
    assert not Worker.objects.alive()
    assert leases.condemn("default") == 0


def test_a_lost_worker_is_on_record_for_a_day(worker):
    other = HandWorker()
    past = timezone.now() - timedelta(seconds=1)
    Worker.objects.filter(pk=worker.id).update(expires_at=past)

    assert leases.condemn("default") == 1
    assert leases.condemn("default") == 0

    assert Worker.everyone.get(pk=worker.id).was_lost
    assert Worker.objects.get().pk == other.id
    assert leases.forget_ended("default") == 0
    yesterday = timezone.now() - timedelta(hours=25)
    Worker.everyone.filter(pk=worker.id).update(ended_at=yesterday)
    assert leases.forget_ended("default") == 1
