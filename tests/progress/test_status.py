"""What the person who waits is told of a job, and who is told nothing."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.utils import timezone, translation

from dbqueue import bind_context
from dbqueue.models import FinishedJob, Job
from dbqueue.progress import accepted
from dbqueue.testing import run_jobs
from tests.progress import tasks
from tests.tasks import echo, noop

pytestmark = pytest.mark.django_db
OWNED = {"DBQUEUE": {"PROGRESS": {"OWNS": "dbqueue.progress.owned_by_user"}}}


def url(result, *scopes, view="status.json", **how):
    return f"/jobs/{result.public_token(*scopes, **how)}/{view}"


def status(client, result, *scopes):
    return client.get(url(result, *scopes)).json()


def test_the_status_of_a_job_from_its_beginning_to_its_end(client, worker):
    result = tasks.say.enqueue(3, 10, "Reading Ada")
    assert status(client, result)["status"] == "waiting"
    assert status(client, result)["position"] == 1

    (job,) = worker.claim()
    worker.run(job)

    running = status(client, result)
    assert running["status"] == "running"
    assert running["progress"]["percent"] == 30
    assert running["progress"]["message"] == "Reading Ada"
    assert running["retry_after"] == 1
    worker.finish(job)
    ended = status(client, result)
    assert (ended["status"], ended["text"]) == ("succeeded", "Done.")
    assert ended["progress"]["percent"] == 100
    assert ended["finished"]
    assert ended["retry_after"] is None


def test_nothing_inside_is_told(client):
    with bind_context(secret="s3cret-context"):
        result = echo.using(queue_name="s3cret-queue").enqueue("s3cret-argument")
    text = client.get(url(result)).content.decode()
    run_jobs()

    text += client.get(url(result)).content.decode()

    assert "s3cret" not in text
    assert "tests" not in text


def test_an_exception_is_told_only_if_it_is_for_users(client):
    failed = tasks.fail.enqueue("password: s3cret")
    refused = tasks.refuse.enqueue("This file has no rows.")
    run_jobs(scheduled=True)

    assert status(client, failed)["error"] is None
    assert status(client, failed)["text"] == "Sorry, this did not work."
    assert status(client, refused)["error"] == "This file has no rows."
    assert status(client, refused)["status"] == "failed"


def test_an_error_for_users_ends_the_job_unless_it_says_otherwise():
    once = tasks.refuse.enqueue("No rows.")
    again = tasks.refuse.enqueue("No answer yet.", retry=True)

    run_jobs(scheduled=True)

    assert FinishedJob.objects.get(pk=once.id).failures == 1
    assert FinishedJob.objects.get(pk=again.id).failures == 5
    log = FinishedJob.objects.get(pk=again.id).attempt_log
    assert all(entry["visible"] for entry in log)


def test_a_job_that_is_due_later_is_scheduled(client):
    later = timezone.now() + timedelta(hours=3)
    result = noop.using(run_after=later).enqueue()

    told = status(client, result)

    assert told["status"] == "scheduled"
    assert told["run_after"] == later.isoformat()
    assert told["retry_after"] == 15


def test_a_place_in_line_counts_who_comes_before(client):
    first = noop.enqueue()
    noop.using(queue_name="other").enqueue()
    second, third = noop.enqueue(), noop.enqueue()
    hurried = noop.using(priority=5).enqueue()

    places = [status(client, r)["position"] for r in (hurried, first, second, third)]

    assert places == [1, 2, 3, 4]
    assert status(client, third)["text"] == "Waiting: 3 are ahead."


def test_places_of_jobs_that_were_written_together_are_in_order(client):
    from dbqueue import enqueue_many

    results = enqueue_many(noop, [()] * 5)

    assert [status(client, r)["position"] for r in results] == [1, 2, 3, 4, 5]


def test_a_long_line_is_counted_to_a_thousand(client):
    from dbqueue import enqueue_many

    *_, last = enqueue_many(noop, [()] * 1100)

    assert status(client, last)["position"] == 1000
    assert status(client, last)["text"] == "Waiting: more than 1000 are ahead."


def test_the_words_are_in_the_language_of_the_request(client):
    with translation.override("de"):  # there may be no catalogue: it is still text
        assert status(client, noop.enqueue())["text"]


class TestTheAnswer:
    def test_it_is_not_sent_again_while_nothing_has_changed(self, client):
        result = noop.enqueue()
        address = url(result)
        first = client.get(address)

        same = client.get(address, headers={"If-None-Match": first["ETag"]})
        weak = client.get(address, headers={"If-None-Match": f"W/{first['ETag']}"})
        run_jobs()
        other = client.get(address, headers={"If-None-Match": first["ETag"]})

        assert (same.status_code, same.content) == (304, b"")
        assert weak.status_code == 304
        assert same["Retry-After"] == "2"
        assert same["ETag"] == first["ETag"]
        assert other.status_code == 200
        assert other["ETag"] != first["ETag"]

    def test_it_is_for_nobody_else_and_no_cache(self, client):
        answer = client.get(url(noop.enqueue()))

        assert answer["Cache-Control"] == "private, no-store"
        assert answer["Referrer-Policy"] == "same-origin"
        assert answer["Retry-After"] == "2"
        assert answer["Content-Type"] == "application/json"

    def test_it_takes_no_more_than_a_few_queries(
        self, client, django_assert_max_num_queries
    ):
        address = url(noop.enqueue())

        with django_assert_max_num_queries(4):
            client.get(address)

    def test_it_reads_a_part_of_the_index_only_for_a_place(self, client, worker):
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        address = url(noop.enqueue())
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(address)

        counts = [q["sql"] for q in queries if "COUNT" in q["sql"]]
        assert counts
        assert all("LIMIT" in sql for sql in counts)


class TestAToken:
    def test_it_is_for_one_job(self, client):
        mine, other = noop.enqueue(), noop.enqueue()

        assert client.get(url(mine)).status_code == 200
        assert mine.public_token() != other.public_token()

    @pytest.mark.parametrize("key", ["x", "a:b:c", "%00", "é", "x" * 5000, "1" * 32])
    def test_what_is_not_one_is_not_found(self, client, key):
        assert client.get(f"/jobs/{key}/status.json").status_code == 404
        assert client.get(f"/jobs/{key}/").status_code == 404

    def test_it_cannot_be_changed(self, client):
        token = noop.enqueue().public_token("status")

        for place in (0, len(token) // 2, -1):
            letters = list(token)
            letters[place] = "A" if letters[place] != "A" else "B"
            changed = "".join(letters)
            assert client.get(f"/jobs/{changed}/status.json").status_code == 404

    def test_it_is_over_after_a_day_or_when_its_maker_says(self, client):
        result = noop.enqueue()
        a_day, an_hour = url(result), url(result, max_age=timedelta(hours=1))

        with time_machine.travel(timezone.now() + timedelta(hours=2)):
            assert client.get(a_day).status_code == 200
            assert client.get(an_hour).status_code == 404
        with time_machine.travel(timezone.now() + timedelta(hours=25)):
            assert client.get(a_day).status_code == 404

    def test_it_outlives_the_key_that_it_was_signed_with_as_a_fallback(self, client):
        address = url(noop.enqueue())

        with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["tests only"]):
            assert client.get(address).status_code == 200
        with override_settings(SECRET_KEY="new"):
            assert client.get(address).status_code == 404

    def test_it_allows_what_it_says(self, client):
        result = tasks.attach.enqueue("report.txt", "hello")
        run_jobs()

        assert status(client, result, "status")["files"] == []
        status_only = url(result, "status", view="files/report.txt")
        assert client.get(status_only).status_code == 404
        assert client.post(url(result, view="cancel/")).status_code == 404
        result_only = url(result, "result")
        assert client.get(result_only).status_code == 404

    @pytest.mark.parametrize("how", [{"max_age": 0}, {"max_age": -5}])
    def test_it_is_valid_for_some_time(self, how):
        with pytest.raises(ValueError, match="for more than 0 s"):
            noop.enqueue().public_token(**how)

    def test_a_scope_that_there_is_not_is_refused(self):
        with pytest.raises(ValueError, match="'staus' is no scope of a token"):
            noop.enqueue().public_token("staus")

    def test_a_job_that_is_no_longer_on_record_is_not_found(self, client):
        result = noop.enqueue()
        address = url(result)
        Job.objects.all().delete()

        assert client.get(address).status_code == 404


class TestAnId:
    def test_it_is_not_enough(self, client):
        assert client.get(f"/jobs/{noop.enqueue().id}/status.json").status_code == 404

    @override_settings(**OWNED)
    def test_it_is_enough_for_who_enqueued_the_job(self, client):
        ada, grace = map(User.objects.create_user, ("ada", "grace"))
        with bind_context(user_id=str(ada.pk)):
            result = noop.enqueue()
        address = f"/jobs/{result.id}/status.json"

        assert client.get(address).status_code == 404
        client.force_login(grace)
        assert client.get(address).status_code == 404
        client.force_login(ada)
        assert client.get(address).status_code == 200
        assert "Cookie" in client.get(address)["Vary"]
        run_jobs()
        assert client.get(address).json()["status"] == "succeeded"

    @override_settings(**OWNED)
    def test_a_job_of_nobody_is_nobodys(self, client):
        client.force_login(User.objects.create_user("ada"))
        result = noop.enqueue()

        assert client.get(f"/jobs/{result.id}/status.json").status_code == 404
        assert client.get(f"/jobs/{uuid4()}/status.json").status_code == 404


class TestACancel:
    def test_a_job_that_waits_is_cancelled(self, client):
        result = noop.enqueue()

        answer = client.post(
            url(result, "status", "cancel", view="cancel/"),
            headers={"Accept": "application/json"},
        )

        assert answer.json()["status"] == "cancelled"
        assert answer.json()["cancel_url"] is None
        assert FinishedJob.objects.get().state == "CANCELLED"

    def test_a_job_that_runs_is_asked_to_stop(self, client, worker):
        result = noop.enqueue()
        worker.claim()

        answer = client.post(url(result, "status", "cancel", view="cancel/"))

        assert answer.json()["stopping"]
        assert answer.json()["text"] == "Stopping …"

    def test_a_browser_comes_back_to_its_page_and_to_no_other(self, client):
        result = noop.enqueue()
        address = url(result, "status", "cancel", view="cancel/")
        accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

        home = client.post(address, {"next": "/report/?a=1"}, headers=accept)
        away = client.post(address, {"next": "https://evil.example/"}, headers=accept)

        assert (home.status_code, home["Location"]) == (303, "/report/?a=1")
        assert away["Location"].startswith("/jobs/")

    def test_a_link_cancels_nothing(self, client):
        result = noop.enqueue()
        address = url(result, "status", "cancel", view="cancel/")

        assert client.get(address).status_code == 405
        assert Job.objects.exists()

    @override_settings(**OWNED)
    def test_another_site_cannot_cancel_by_the_cookie_of_the_owner(self):
        client = Client(enforce_csrf_checks=True)
        ada = User.objects.create_user("ada")
        with bind_context(user_id=str(ada.pk)):
            result = noop.enqueue()
        client.force_login(ada)

        assert client.post(f"/jobs/{result.id}/cancel/").status_code == 403
        assert Job.objects.exists()
        token = url(result, "status", "cancel", view="cancel/")
        assert client.post(token).status_code == 200


class TestAPage:
    def test_it_loads_itself_again_without_javascript_until_the_end(self, client):
        result = noop.enqueue()
        address = url(result, view="")

        waiting = client.get(address).content.decode()
        run_jobs()
        done = client.get(address).content.decode()

        assert '<noscript><meta http-equiv="refresh" content="2">' in waiting
        assert "Waiting: next in line." in waiting
        assert "refresh" not in done
        assert "Done." in done

    def test_what_a_job_says_is_text(self, client, worker):
        tasks.say.enqueue(1, 2, "<script>alert(1)</script>")
        (job,) = worker.claim()
        worker.run(job)
        result = tasks.say.get_result(str(job.id))

        text = client.get(url(result, view="")).content.decode()

        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text

    def test_htmx_gets_the_parts_until_the_end(self, client):
        result = noop.enqueue()
        address = url(result, view="bar/")

        waiting = client.get(address).content.decode()
        run_jobs()

        assert 'hx-trigger="every 2s"' in waiting
        assert "hx-" not in client.get(address).content.decode()


def test_an_answer_of_202_says_where_and_when_to_ask_again(client, rf):
    answer = accepted(rf.post("/"), noop.enqueue())

    assert answer.status_code == 202
    assert answer["Retry-After"] == "2"
    assert json.loads(answer.content)["status"] == "waiting"
    assert client.get(answer["Location"]).json()["status"] == "waiting"


@pytest.mark.django_db(transaction=True)
class TestADatabaseThatIsAway:
    @pytest.fixture
    def away(self, monkeypatch):
        from django.db import OperationalError
        from django.db.backends.base.base import BaseDatabaseWrapper

        def refuse(*args, **kwargs):
            raise OperationalError("connection refused")

        yield lambda: monkeypatch.setattr(BaseDatabaseWrapper, "_cursor", refuse)
        monkeypatch.undo()

    def test_it_is_answered_calmly(self, client, away):
        result = noop.enqueue()
        as_json, as_page = url(result), url(result, view="")
        away()

        told, page = client.get(as_json), client.get(as_page)

        assert told.status_code == page.status_code == 503
        assert told["Retry-After"] == "5"
        assert told.json()["text"] == "We cannot look just now. Trying again …"
        assert not told.json()["finished"]
        assert "One moment" in page.content.decode()
        assert client.post(url(result, "cancel", view="cancel/")).status_code == 503

    def test_a_transaction_for_each_request_does_not_come_before(
        self, client, away, settings
    ):
        from django.db import connection

        address = url(noop.enqueue())
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        try:
            away()
            assert client.get(address).status_code == 503
        finally:
            connection.settings_dict["ATOMIC_REQUESTS"] = False
