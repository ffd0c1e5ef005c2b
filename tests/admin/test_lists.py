import pytest

from dbqueue.admin.listing import listing
from dbqueue.models import FinishedJob, Job
from dbqueue.testing import run_jobs
from tests import tasks
from tests.admin.rows import VIEW, address, client_of, failure, records
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db


def found(client, name="finishedjob", **params):
    """Return the rows of a page and the page."""
    response = client.get(address(f"{name}_changelist"), params)
    assert response.status_code == 200
    return response.context["cl"].result_list, response


class TestWhatALineSays:
    def test_a_list_says_by_which_exception_a_job_failed(self, admin_client):
        records(state="FAILED", attempt_log=failure(), failures=1)

        _, response = found(admin_client, state="FAILED")

        assert "<strong>SMTPServerDisconnected</strong>" in response.text
        assert "closed</span>" in response.text
        assert "by peer" not in response.text
        assert '<td class="dbq-num">1</td>' in response.text

    def test_a_list_says_which_worker_runs_a_job_and_how_far_it_is(self, admin_client):
        tasks.echo.enqueue(1)
        worker = HandWorker()
        (job,) = worker.claim()
        worker.note_progress(job, '{"value": 3, "total": 4, "message": "almost"}')

        _, response = found(admin_client, "job", state="RUNNING")

        assert 'value="75.0"' in response.text
        assert "almost" in response.text
        assert ">hand<" in response.text

    def test_a_list_shows_no_message_without_the_permission(self):
        records(state="FAILED", attempt_log=failure(), failures=1)

        _, response = found(client_of(*VIEW), state="FAILED")

        assert "SMTPServerDisconnected" in response.text
        assert "closed" not in response.text


class TestFilters:
    @pytest.mark.parametrize(
        "params",
        [
            {"queue": "mail"},
            {"task": "tests.tasks.wanted"},
            {"exception": "SMTPServer"},
            {"lane": "user:7"},
            {"q": "queue:mail"},
            {"q": "task:wanted"},
            {"q": "wanted"},
            {"q": "exception:SMTPServer task:wanted"},
            {"q": "args.user_id:77"},
            {"q": "args.user.name:Ada"},
            {"q": 'args.user.name:"Ada"'},
            {"q": "args.text:hello"},
            {"q": "args.0:hello"},
            {"q": "lane:user:7"},
            {"q": "schedule:nightly"},
            {"q": "state:failed"},
            {"q": "worker:0193a0c0-0000-7000-8000-000000000001"},
            {"worker": "0193a0c0000070008000000000000001"},
        ],
    )
    def test_each_filter_finds_the_one_row_that_has_it(self, admin_client, params):
        records(3)
        (wanted,) = records(
            state="FAILED",
            task="tests.tasks.wanted",
            queue_name="mail",
            exception="smtplib.SMTPServerDisconnected",
            lane="user:7",
            worker_id="0193a0c0-0000-7000-8000-000000000001",
            kwargs={"user_id": 77, "user": {"name": "Ada"}, "text": "hello"},
            args=["hello"],
            context={"dbqueue.schedule": {"name": "nightly"}},
        )

        rows, _ = found(admin_client, **params)

        assert list(rows) == [wanted]

    def test_an_argument_is_found_by_name_however_it_was_passed(self, admin_client):
        (named,) = records(task="tests.tasks.echo", kwargs={"value": 77})
        (given,) = records(task="tests.tasks.echo", args=[77])
        records(task="tests.tasks.noop", args=[77])

        rows, _ = found(admin_client, q="args.value:77")

        assert set(rows) == {named, given}

    def test_a_job_is_found_by_the_name_of_its_worker(self, admin_client):
        tasks.echo.enqueue(1)
        HandWorker().claim()

        rows, _ = found(admin_client, "job", q="worker:hand", state="RUNNING")

        assert len(rows) == 1

    def test_a_filter_by_age_leaves_out_what_is_older(self, admin_client):
        (young,) = records(seconds=60)
        records(seconds=7200)

        assert list(found(admin_client, age="1h")[0]) == [young]
        assert list(found(admin_client, age="1h", state="SUCCESSFUL")[0]) == [young]

    def test_an_unknown_qualifier_is_told_with_the_nearest_one(self, admin_client):
        _, response = found(admin_client, q="qeue:mail")

        assert "There is no qualifier qeue:" in response.text
        assert "&#x27;queue&#x27;" in response.text

    @pytest.mark.parametrize(
        "params",
        [
            {"q": "'; DROP TABLE x --"},
            {"q": "args.:1"},
            {"q": "args.a'b:1"},
            {"q": "args.a.0.b:[1,"},
            {"q": "id:nothing"},
            {"q": '"'},
            {"q": "\x00"},
            {"q": "args.x:\x00"},
            {"queue": "\x00"},
            {"state": "NONE"},
            {"age": "long"},
            {"after": "nonsense", "before": "{}"},
            {"after": "WzFd"},
            {"page": "x", "o": "1", "e": "1", "unknown__field": "1"},
        ],
    )
    def test_a_strange_address_is_answered_calmly(self, admin_client, params):
        records(2)

        found(admin_client, **params)
        found(admin_client, "job", **params)

    def test_values_are_not_asked_for_by_who_may_not_see_them(self):
        client = client_of(*VIEW)

        response = client.get(address("finishedjob_changelist"), {"q": "args.pin:1"})

        assert response.status_code == 403


class TestPages:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch):
        monkeypatch.setattr(listing, "PAGE", 4)

    @pytest.mark.parametrize("params", [{}, {"state": "SUCCESSFUL"}])
    def test_every_row_is_on_one_page_forwards_and_backwards(
        self, admin_client, params
    ):
        records(10)
        expected = [row.pk for row in found(admin_client, **params)[0]]
        rows, page = found(admin_client, **params)
        seen = [row.pk for row in rows]

        while url := page.context["cl"].older_url:
            page = admin_client.get(address("finishedjob_changelist") + url)
            seen += [row.pk for row in page.context["cl"].result_list]

        assert len(seen) == len(set(seen)) == 10
        back = [row.pk for row in page.context["cl"].result_list]
        while url := page.context["cl"].newer_url:
            page = admin_client.get(address("finishedjob_changelist") + url)
            back = [row.pk for row in page.context["cl"].result_list] + back
        assert back == seen
        assert seen[:4] == expected

    def test_the_last_page_has_the_oldest_rows(self, admin_client):
        rows = records(10)

        last, page = found(admin_client, state="SUCCESSFUL", last="1")

        assert list(last) == rows[-4:]
        assert page.context["cl"].older_url == ""
        assert page.context["cl"].newer_url

    @pytest.mark.parametrize(
        "params", [{}, {"state": "READY"}, {"state": "READY", "queue": "default"}]
    )
    def test_jobs_that_wait_are_paged_in_the_order_of_their_claims(
        self, admin_client, params
    ):
        for n in range(9):
            tasks.echo.using(priority=n % 3).enqueue(n)
        rows, page = found(admin_client, "job", **params)
        seen = list(rows)
        while url := page.context["cl"].older_url:
            page = admin_client.get(address("job_changelist") + url)
            seen += page.context["cl"].result_list

        assert len({row.pk for row in seen}) == len(seen) == 9
        if params:
            claimed = [job.id for job in HandWorker().claim(9)]
            assert [row.pk for row in seen] == claimed

    def test_a_filter_without_an_index_looks_at_so_many_rows_and_says_so(
        self, admin_client, monkeypatch
    ):
        monkeypatch.setattr(listing, "WINDOW", 5)
        records(7)
        (old,) = records(queue_name="mail", seconds=60)

        rows, page = found(admin_client, state="SUCCESSFUL", queue="mail")
        cl = page.context["cl"]
        further = admin_client.get(address("finishedjob_changelist") + cl.older_url)

        assert list(rows) == []
        assert "None of these rows match" in page.text
        assert "Look at the next" in page.text
        assert further.context["cl"].result_list == [old]
        assert "Look at the next" not in further.text


class TestThePageOfAJob:
    def test_the_page_of_a_job_goes_where_the_job_is_by_now(self, admin_client):
        result = tasks.echo.enqueue(1)
        run_jobs()

        response = admin_client.get(address("job_change", result.id), follow=True)

        assert response.redirect_chain == [
            (address("finishedjob_change", result.id), 302)
        ]

    def test_the_page_of_a_job_that_there_is_not_is_not_found(self, admin_client):
        for text in ("0193a0c0-0000-7000-8000-000000000001", "nothing"):
            assert admin_client.get(address("job_change", text)).status_code == 404

    def test_numbers_are_shown_exactly(self, admin_client):
        (job,) = records(kwargs={"big": 2**80, "small": 0.1})

        text = admin_client.get(address("finishedjob_change", job.pk)).text

        assert str(2**80) in text
        assert "0.1<" in text

    def test_what_the_settings_keep_secret_is_hidden(self, admin_client, settings):
        (job,) = records(kwargs={"api_key": "s3cret", "user": {"Password": "s3cret"}})
        (plain,) = records(kwargs={"pin": "s3cret"})
        settings.DBQUEUE = {"REDACT": ["PIN"]}

        shown = admin_client.get(address("finishedjob_change", job.pk)).text
        hidden = admin_client.get(address("finishedjob_change", plain.pk)).text
        settings.DBQUEUE = {}
        again = admin_client.get(address("finishedjob_change", job.pk)).text

        assert "s3cret" in shown
        assert "s3cret" not in hidden
        assert "s3cret" not in again

    def test_arguments_are_for_those_who_may_see_them(self):
        log = failure(message="of pin 1234")
        (job,) = records(
            state="FAILED",
            kwargs={"pin": 1234},
            context={"c": 1234},
            attempt_log=log,
        )
        url = address("finishedjob_change", job.pk)

        without = client_of(*VIEW).get(url).text
        permitted = client_of(*VIEW, "view_job_payload", name="ada").get(url).text

        assert "1234" not in without
        assert permitted.count("1234") >= 3

    def test_frames_of_libraries_are_folded(self, admin_client):
        log = failure()
        log[0]["traceback"] = (
            "Traceback (most recent call last):\n"
            '  File "/srv/shop/tasks.py", line 1, in send\n    mail()\n'
            '  File "/srv/lib/python3.13/site-packages/x.py", line 2, in mail\n'
            "    raise OSError()\n"
            "OSError\n"
        )
        (job,) = records(state="FAILED", attempt_log=log)

        text = admin_client.get(address("finishedjob_change", job.pk)).text

        assert "1 frame of a library" in text
        assert text.index("mail()") < text.index("1 frame of a library")

    def test_the_page_says_why_a_job_is_not_running(self, admin_client):
        result = tasks.echo.using(queue_name="nobody").enqueue(1)

        text = admin_client.get(address("job_change", result.id)).text

        assert "No live worker takes the queue" in text


def test_a_list_asks_few_queries(admin_client, django_assert_max_num_queries):
    records(60, state="FAILED", attempt_log=failure(), worker_id=HandWorker().id)
    for n in range(60):
        tasks.echo.enqueue(n)

    for model in (Job, FinishedJob):
        name = model._meta.model_name
        for params in ({}, {"state": "FAILED", "q": "queue:default echo"}):
            with django_assert_max_num_queries(10):
                found(admin_client, name, **params)
