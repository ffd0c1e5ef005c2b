import re
from datetime import timedelta

import pytest
from django.contrib.admin import AdminSite
from django.db import OperationalError, ProgrammingError, connections
from django.test import override_settings
from django.urls import include, path
from django.utils import timezone

from dbqueue import enqueue
from dbqueue.admin.jobs import FinishedJobAdmin, JobAdmin
from dbqueue.admin.overview import glance, shared, warnings
from dbqueue.admin.workers import WorkerAdmin
from dbqueue.dialects.statistics import HOUR, MINUTE
from dbqueue.models import FinishedJob, Job, Pause, Statistic, Worker
from tests import tasks
from tests.admin.rows import VIEW, address, client_of, records
from tests.support import limited_tasks as limited
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db
own_site = AdminSite(name="own")
own_site.register(Job, JobAdmin)
own_site.register(FinishedJob, FinishedJobAdmin)
own_site.register(Worker, WorkerAdmin)
urlpatterns = [
    path("own/", own_site.urls),
    path("", include("tests.urls")),
]


@pytest.fixture(autouse=True)
def _forget_health():
    warnings._health.clear()
    shared._seen.clear()


def statistic(span=MINUTE, ago=60, **columns):
    at = int(timezone.now().timestamp() - ago) // span * span
    moment = timezone.datetime.fromtimestamp(at, timezone.get_current_timezone())
    values = {"queue_name": "mail", "task": "shop.tasks.send"} | columns
    return Statistic.objects.create(span=span, at=moment, **values)


def overview(client, **params):
    response = client.get(address("overview"), params)
    assert response.status_code == 200
    return response.text, response.context["glance"]


class TestTabsThatLookAgain:
    @pytest.fixture(autouse=True)
    def _no_time_passes(self, monkeypatch):
        monkeypatch.setattr(shared, "AGE", 3600.0)
        monkeypatch.setattr(shared, "LONGEST_AGE", 3600.0)

    def look(self, client, **params):
        headers = {"X-Dbqueue-Live": "dbq-overview"}
        return client.get(address("overview"), params, headers=headers).text

    def test_share_a_look_while_a_page_has_one_of_its_own(self, admin_client):
        first = self.look(admin_client)
        tasks.echo.enqueue(1)

        assert self.look(admin_client) == first
        assert overview(admin_client)[1].waiting == 1
        assert self.look(admin_client, range="24h") != first

    def test_show_each_reader_what_that_one_may_do(self, admin_client):
        tasks.echo.enqueue(1)
        pause = "Pause…"

        assert pause in self.look(admin_client)
        assert pause not in self.look(client_of(*VIEW))
        assert pause in self.look(admin_client)

    def test_look_anew_when_the_look_is_old(self, admin_client, monkeypatch):
        monkeypatch.setattr(shared, "AGE", 0.0)
        monkeypatch.setattr(shared, "LONGEST_AGE", 0.0)
        first = self.look(admin_client)
        tasks.echo.enqueue(1)

        assert self.look(admin_client) != first


class TestFigures:
    def test_tiles_say_what_waits_runs_and_failed(self, admin_client):
        for n in range(3):
            tasks.echo.enqueue(n)
        HandWorker().claim()
        tasks.echo.using(run_after=timedelta(hours=1)).enqueue(1)
        records(4, state="FAILED", exception="a.Broken")
        records(2, state="FAILED", exception="a.Broken", seconds=90_000)

        text, seen = overview(admin_client)

        shown = (seen.waiting, seen.running, seen.scheduled, seen.failed)
        assert shown == (2, 1, 1, 4)
        assert "Broken" in text

    def test_a_chart_has_the_jobs_of_each_minute_and_a_table(self, admin_client):
        statistic(succeeded=7, failed=2, run_10=9, seconds=3.0)
        statistic(succeeded=5, queue_name="pdf", task="x")

        text, seen = overview(admin_client)

        (bar,) = seen.history.chart.table
        assert (bar.good, bar.bad) == (12, 2)
        assert "12 ended well, 2 failed" in text
        assert seen.history.percentile("runs", 0.5) == pytest.approx(1.55, abs=0.6)

    @pytest.mark.parametrize(("period", "bars"), [("24h", 24), ("7d", 168), ("x", 60)])
    def test_longer_ranges_are_made_of_hours(self, admin_client, period, bars):
        statistic(HOUR, ago=7200, succeeded=3)

        _, seen = overview(admin_client, range=period)

        assert len(seen.history.chart.bars) == bars
        assert sum(bar.all for bar in seen.history.chart.bars) == 3 * (bars != 60)

    def test_queues_have_rates_and_their_share_of_failures(self, admin_client):
        statistic(ago=90, succeeded=27, failed=3)
        for n in range(30):
            tasks.echo.using(queue_name="mail").enqueue(n)

        _, seen = overview(admin_client)

        (queue,) = seen.queues
        assert queue.rate_in == pytest.approx(30 / 300)
        assert queue.rate_out in (pytest.approx(30 / 300), 0.0)
        assert (queue.ended, queue.failed) == (30, 3)

    def test_queues_show_how_many_may_run(self, admin_client, settings):
        settings.DBQUEUE = {"QUEUES": {"mail": {"concurrency": 3}}}
        tasks.echo.using(queue_name="mail").enqueue(1)
        HandWorker().claim()

        text = admin_client.get(address("queues")).text

        assert re.search(r">1</bdi> / <bdi>3</bdi>", text)

    def test_counts_stop_at_their_cap(self, admin_client, monkeypatch):
        monkeypatch.setattr(glance, "MOST_FAILURES", 5)
        records(7, state="FAILED")

        text, seen = overview(admin_client)

        assert str(seen.failed) == "5+"
        assert "5+" in text

    def test_an_empty_queue_has_an_overview_too(self, admin_client):
        text, _ = overview(admin_client)

        assert "No job has ended in this period" in text

    @pytest.mark.parametrize("period", ["1h", "24h"])
    def test_the_overview_asks_few_queries(
        self, admin_client, django_assert_max_num_queries, period
    ):
        for n in range(20):
            tasks.echo.using(queue_name=f"q{n}").enqueue(n)
            statistic(queue_name=f"q{n}", succeeded=1)
        HandWorker()

        with django_assert_max_num_queries(10):
            overview(admin_client, range=period)


class TestWarnings:
    def test_jobs_in_a_queue_that_no_worker_takes_are_told(self, admin_client):
        HandWorker()
        Worker.objects.update(queues="default")
        tasks.echo.using(queue_name="mail").enqueue(1)
        Job.objects.update(enqueued_at=timezone.now() - timedelta(minutes=4))

        text, _ = overview(admin_client)

        assert "1 job waits 4 min" in text
        assert "manage.py runworker --queues mail" in text

    def test_a_paused_queue_is_told_and_not_its_workers(self, admin_client):
        tasks.echo.using(queue_name="mail").enqueue(1)
        Job.objects.update(enqueued_at=timezone.now() - timedelta(minutes=4))
        past = timezone.now() - timedelta(minutes=1)
        Pause.objects.create(key="queue:mail", paused_at=past, paused_by="ada")

        text, _ = overview(admin_client)

        assert "mail has been paused for 1 min" in text
        assert "no worker takes" not in text

    def test_a_lost_worker_and_an_unknown_task_are_told(self, admin_client):
        lost, other = HandWorker(), HandWorker()
        now = timezone.now()
        Worker.objects.filter(pk=lost.id).update(ended_at=now, was_lost=True)
        Worker.objects.filter(pk=other.id).update(unknown_tasks=["shop.gone"])

        text, _ = overview(admin_client)

        assert "Worker hand (process 1) was lost" in text
        assert "No live worker can import shop.gone" in text

    @pytest.mark.parametrize(
        ("state", "days", "told"),
        [
            *(("SUCCESSFUL", 9, True), ("SUCCESSFUL", 6, False)),
            *(("FAILED", 9, False), ("FAILED", 31, True), ("CANCELLED", 31, True)),
        ],
    )
    def test_a_history_that_is_not_pruned_is_told(
        self, admin_client, state, days, told
    ):
        records(state=state, seconds=days * 86_400)

        text, _ = overview(admin_client)

        assert ("grows faster than it is pruned" in text) is told

    def test_a_history_that_is_kept_for_ever_is_not_told(self, admin_client, settings):
        settings.DBQUEUE = {"KEEP_SUCCESSFUL": None, "KEEP_FAILED": None}
        records(seconds=900 * 86_400)

        text, _ = overview(admin_client)

        assert "grows faster" not in text

    def test_workers_that_no_news_reaches_are_told(self, admin_client):
        deaf, hearing, polling, new = (HandWorker() for _ in range(4))
        past = timezone.now() - timedelta(minutes=1)
        Worker.objects.exclude(pk=new.id).update(started_at=past)
        Worker.objects.filter(pk__in=[deaf.id, new.id]).update(is_listening=False)
        Worker.objects.filter(pk=hearing.id).update(is_listening=True)

        text, seen = overview(admin_client)

        told = [notice.text for notice in seen.warnings if "news" in notice.text]
        assert told == ["No news of jobs reaches 1 worker (hand); it polls instead."]
        assert "NOTIFY" in text
        for worker, words in ((deaf, "no, it polls"), (hearing, "yes")):
            page = admin_client.get(address("worker_change", worker.id)).text
            assert words in page
        page = admin_client.get(address("worker_change", polling.id)).text
        assert "News of jobs" not in page

    def test_a_session_that_keeps_vacuum_from_its_work_is_told(
        self, admin_client, monkeypatch, only_postgres
    ):
        monkeypatch.setattr(warnings, "PINNED_AFTER", -1.0)
        other = connections.create_connection("default")
        try:
            with other.cursor() as cursor:
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SELECT 1 FROM pg_class LIMIT 1")
            overview(admin_client)  # each look takes its turn
            text, _ = overview(admin_client)
        finally:
            other.close()

        assert "pg_terminate_backend" in text


class TestSites:
    @override_settings(ROOT_URLCONF=__name__)
    def test_another_site_has_the_pages_and_links_to_its_own(self, admin_client):
        result = tasks.echo.enqueue(1)
        Pause.objects.create(key="queue:x", paused_at=timezone.now())
        enqueue(limited.one, "ada")
        urls = ["", "queues/", "tasks/", "job/", "finishedjob/", "worker/"]
        urls += ["limits/", "limits/one/"]
        for url in [*urls, f"job/{result.id}/change/"]:
            text = admin_client.get(f"/own/dbqueue/{url}").text
            links = re.findall(r'(?:href|action)="(/[^"]*)"', text)
            assert not [link for link in links if link.startswith("/admin/")], url

    def test_the_tabs_are_those_that_the_user_may_see(self):
        text, _ = overview(client_of("view_job"))

        tabs = re.findall(r'class="dbq-tabs".*?</nav>', text, re.S)[0]
        assert "Overview" in tabs
        assert "Workers" not in tabs

    def test_with_several_databases_there_is_one_switch(self, admin_client, settings):
        entry = {"BACKEND": "dbqueue.backend.DatabaseBackend", "QUEUES": []}
        other = {**entry, "OPTIONS": {"database": "other"}}
        settings.TASKS = {"default": entry, "second": other}

        text, _ = overview(admin_client)

        assert "<option selected>default</option><option>other</option>" in text


class TestADatabaseThatIsAway:
    @pytest.mark.parametrize(
        "name", ["overview", "queues", "tasks", "job_changelist", "worker_changelist"]
    )
    def test_a_page_is_calm_while_the_database_is_away(
        self, admin_client, monkeypatch, name
    ):
        def away(*args, **kwargs):
            raise OperationalError("connection refused")

        monkeypatch.setattr("django.contrib.admin.sites.AdminSite.has_permission", away)

        response = admin_client.get(address(name))

        assert response.status_code == 503
        assert "The database does not answer" in response.text
        assert response["Retry-After"]

    def test_missing_tables_are_told_with_the_command(self, admin_client, no_tables):
        response = admin_client.get(address("overview"))

        assert response.status_code == 503
        assert "manage.py migrate" in response.text

    def test_another_mistake_is_not_hidden(self, admin_client, monkeypatch):
        def wrong(*args, **kwargs):
            raise ProgrammingError("syntax error")

        monkeypatch.setattr("dbqueue.admin.overview.history.of", wrong)

        with pytest.raises(ProgrammingError):
            admin_client.get(address("overview"))


@pytest.mark.parametrize("name", ["overview", "queues", "tasks", "job_changelist"])
def test_pages_have_no_inline_script_and_no_inline_style(admin_client, name):
    tasks.echo.enqueue(1)
    statistic(succeeded=7, failed=2)

    text = admin_client.get(address(name)).text

    assert not re.search(r"<script(?![^>]*\ssrc=)[^>]*>", text)
    assert "<style" not in text
    assert not re.search(r"<[^>]*\s(style|on\w+)=", text)


def test_the_overview_needs_its_permission():
    assert client_of(*VIEW[1:]).get(address("overview")).status_code == 403
