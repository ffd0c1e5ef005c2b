import re

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import JSONField, Value
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dbqueue.admin.base import CappedPaginator
from dbqueue.models import FinishedJob, Job, Worker
from dbqueue.testing import run_jobs
from tests import tasks
from tests.maintenance.test_maintenance import finished
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db
MODELS = [Job, FinishedJob, Worker]


def page(model, name, *args):
    return reverse(f"admin:dbqueue_{model._meta.model_name}_{name}", args=args)


@pytest.fixture
def rows():
    """Have some rows in each table."""
    tasks.echo.enqueue("<b>done</b>")
    tasks.cancel.enqueue()
    tasks.fail_and_wait.enqueue("<b>fails</b>")
    run_jobs()
    tasks.echo.enqueue("<b>waits</b>")
    HandWorker()


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("model", MODELS)
class TestEveryPage:
    def test_every_page_of_the_admin_lists_the_rows(self, admin_client, model):
        response = admin_client.get(page(model, "changelist"))

        assert response.status_code == 200
        assert f"{model.objects.count()} " in response.text

    def test_every_page_of_the_admin_shows_a_row(self, admin_client, model):
        for row in model.objects.all():
            response = admin_client.get(page(model, "change", row.pk))

            assert response.status_code == 200
            assert 'name="_save"' not in response.text
            assert "<b>" not in response.text

    @pytest.mark.parametrize("name", ["add", "delete", "change"])
    def test_every_page_of_the_admin_changes_nothing(self, admin_client, model, name):
        before = list(model.objects.order_by("pk").values())
        row = model.objects.first()
        url = page(model, name) if name == "add" else page(model, name, row.pk)

        response = admin_client.post(url, {"post": "yes", "name": "changed"})

        assert response.status_code == 403
        assert list(model.objects.order_by("pk").values()) == before

    def test_every_page_of_the_admin_is_closed_to_strangers(self, client, model):
        assert client.get(page(model, "changelist")).status_code == 302


class TestTheList:
    def queries(self, client, model, **filters):
        with CaptureQueriesContext(connection) as captured:
            assert client.get(page(model, "changelist"), filters).status_code == 200
        return [query["sql"] for query in captured]

    @pytest.mark.parametrize("filters", [{}, {"state": "SUCCESSFUL"}])
    def test_the_list_of_jobs_asks_as_many_queries_for_many_rows_as_for_few(
        self, admin_client, filters
    ):
        finished(count=2)
        few = len(self.queries(admin_client, FinishedJob, **filters))
        finished(count=120)

        assert len(self.queries(admin_client, FinishedJob, **filters)) == few

    @pytest.mark.parametrize(
        ("model", "filters"),
        [
            *((model, {}) for model in MODELS),
            *((model, {"state": "FAILED"}) for model in (Job, FinishedJob)),
        ],
    )
    def test_the_list_of_jobs_never_counts_a_whole_table(
        self, admin_client, model, filters
    ):
        counts = [
            sql
            for sql in self.queries(admin_client, model, **filters)
            if "COUNT(" in sql.upper() and "dbqueue_" in sql
        ]

        assert all(re.search(r"LIMIT \d+\) ", sql) for sql in counts)

    def test_the_list_of_jobs_does_not_fetch_what_it_does_not_show(self, admin_client):
        finished(count=2)

        statements = self.queries(admin_client, FinishedJob)

        assert not [sql for sql in statements if '"result"' in sql]
        assert not [sql for sql in statements if '"kwargs"' in sql]

    def test_the_list_of_jobs_stops_counting_at_a_cap(self, monkeypatch, admin_client):
        monkeypatch.setattr(CappedPaginator, "cap", 60)
        finished(count=75)

        text = admin_client.get(page(FinishedJob, "changelist")).text

        assert "60+" in text

    def test_the_list_of_jobs_shows_the_newest_first(self, admin_client):
        for name in ("old", "new"):
            tasks.echo.using(queue_name=name).enqueue(name)

        text = admin_client.get(page(Job, "changelist")).text

        assert text.index(">new<") < text.index(">old<")

    def test_the_list_of_jobs_may_show_one_state_only(self, admin_client):
        finished("SUCCESSFUL")
        finished("FAILED", count=2)

        response = admin_client.get(
            page(FinishedJob, "changelist"), {"state": "FAILED"}
        )

        assert len(response.context["cl"].result_list) == 2

    def test_the_list_of_jobs_finds_a_job_by_its_id(self, admin_client):
        first, _ = finished(count=2)

        for text in (str(first.pk), first.pk.hex, f" {first.pk} "):
            response = admin_client.get(page(FinishedJob, "changelist"), {"q": text})
            assert list(response.context["cl"].result_list) == [first]

    @pytest.mark.parametrize("text", ["abc", "'; --", "%", "1"])
    def test_the_list_of_jobs_finds_nothing_by_what_is_not_an_id(
        self, admin_client, text
    ):
        finished(count=2)

        response = admin_client.get(page(FinishedJob, "changelist"), {"q": text})

        assert list(response.context["cl"].result_list) == []


def test_the_page_of_a_job_shows_its_tracebacks_line_by_line(admin_client):
    tasks.fail_and_wait.enqueue("<b>fails</b>")
    run_jobs()

    response = admin_client.get(page(Job, "change", Job.objects.get().pk))

    assert re.search(r"<pre>Traceback \(most .*\n  File &quot;.*\n    ", response.text)


@pytest.mark.parametrize("log", [{"a": "<b>"}, ["<b>"], "<b>", None, [{}], 3])
def test_the_page_of_a_job_shows_attempts_that_were_damaged(admin_client, log):
    (job,) = finished("FAILED")
    FinishedJob.objects.update(attempt_log=Value(log, JSONField()))

    response = admin_client.get(page(FinishedJob, "change", job.pk))

    assert response.status_code == 200
    assert "<b>" not in response.text


def test_all_tables_are_registered():
    assert {model for model in admin.site._registry if model in MODELS} == set(MODELS)
