import pytest
from django.contrib.admin.models import LogEntry

from dbqueue import status
from dbqueue.admin.acts import menu
from dbqueue.models import FinishedJob, Job, Pause, Statistic, Worker
from dbqueue.testing import run_jobs
from tests import tasks
from tests.admin.rows import VIEW, address, client_of, failure, records
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db
ACTS = {
    "retry": ("finishedjob", "retry_job"),
    "discard": ("finishedjob", "discard_job"),
    "cancel": ("job", "cancel_job"),
    "run_now": ("job", "run_job"),
    "move_to": ("job", "requeue_job"),
    "set_priority": ("job", "prioritise_job"),
}
VALUES = {"move_to": "mail", "set_priority": "7"}


def act(client, name, table, *jobs, across=False, query="", **more):
    """Post an action, and all that it asks."""
    data = {
        "action": name,
        "_selected_action": [str(job.pk) for job in jobs],
        "_confirmed": "1",
        "value": VALUES.get(name, ""),
        **({"select_across": "1"} if across else {}),
        **more,
    }
    return client.post(address(f"{table}_changelist") + query, data, follow=True)


def rows_of(table):
    """Have two rows of that table to which every action applies."""
    if table == "finishedjob":
        return records(2, state="FAILED", attempt_log=failure())
    for n in range(2):
        tasks.echo.enqueue(n)
    Job.objects.update(state="SCHEDULED", run_after="2100-01-01T00:00Z")
    return list(Job.objects.all())


def everything():
    return [
        list(model.objects.order_by("pk").values())
        for model in (Job, FinishedJob, Pause, Worker, Statistic)
    ]


class TestPermissions:
    @pytest.mark.parametrize("name", ACTS)
    def test_an_action_is_refused_without_its_permission(self, name):
        table, needed = ACTS[name]
        jobs = rows_of(table)
        others = {permission for _, permission in ACTS.values()} - {needed}
        client = client_of(*VIEW, *others)
        before = everything()

        for across in (False, True):
            response = act(client, name, table, *jobs, across=across)
            assert response.status_code == 403

        assert everything() == before
        assert not LogEntry.objects.exists()
        page = client.get(address(f"{table}_changelist")).text
        assert f'value="{name}"' not in page

    @pytest.mark.parametrize("name", ACTS)
    def test_an_action_is_done_with_its_permission_and_logged(self, name):
        table, needed = ACTS[name]
        jobs = rows_of(table)
        client = client_of(*VIEW, needed)

        response = act(client, name, table, *jobs)

        assert response.status_code == 200
        assert {str(message)[:1] for message in response.context["messages"]} == {"2"}
        assert LogEntry.objects.count() == 2
        entry = LogEntry.objects.first()
        assert entry.user.username == "grace"
        assert entry.change_message.startswith("2 ")
        assert {e.object_id for e in LogEntry.objects.all()} == {
            str(job.pk) for job in jobs
        }

    def test_viewers_change_nothing_by_any_address(self):
        result = tasks.echo.enqueue(1)
        (old,) = records(state="FAILED", attempt_log=failure())
        worker = HandWorker()
        client = client_of(*VIEW)
        before = everything()
        posts = [
            (address("worker_changelist"), {"order": "stop", "id": str(worker.id)}),
            (address("queue", "mail"), {"move": "pause"}),
            (address("task", "tests.tasks.echo"), {"arg_value": "1"}),
            (address("finishedjob_again", old.pk), {"arg_0": "1"}),
            (address("job_change", result.id), {}),
            (address("finishedjob_change", old.pk), {}),
            (address("worker_change", worker.id), {}),
            (address("job_changelist"), {"action": "nonsense"}),
            (address("job_changelist"), {"action": "delete_selected"}),
        ]

        answers = {url: client.post(url, data).status_code for url, data in posts}

        assert set(answers.values()) == {403}, answers
        assert everything() == before
        assert not LogEntry.objects.exists()

    def test_strangers_and_people_without_permissions_see_nothing(self, client):
        nobody = client_of()
        for name in ("overview", "queues", "tasks", "job_changelist"):
            assert client.get(address(name)).status_code == 302
            assert nobody.get(address(name)).status_code == 403


class TestOutcomes:
    def test_what_was_skipped_is_told_with_its_reason(self, admin_client):
        for n in range(3):
            tasks.echo.enqueue(n)
        HandWorker().claim()
        (gone,) = records()

        response = act(admin_client, "set_priority", "job", *Job.objects.all(), gone)

        (message,) = response.context["messages"]
        assert "2 jobs were given the priority" in str(message)
        assert "2 skipped" in str(message)
        assert "1 already running" in str(message)
        assert set(Job.objects.values_list("state", "priority")) == {
            ("READY", 7),
            ("RUNNING", 0),
        }

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("move_to", "", "Say which queue"),
            ("move_to", "\x00", "queue"),
            ("set_priority", "many", "is not a whole number"),
            ("set_priority", "1000", "1000"),
        ],
    )
    def test_a_wrong_value_is_told_and_changes_nothing(
        self, admin_client, name, value, words
    ):
        tasks.echo.enqueue(1)
        before = everything()

        response = act(admin_client, name, "job", Job.objects.get(), value=value)

        assert words in response.text
        assert 'role="alert"' in response.text
        assert everything() == before

    @pytest.mark.parametrize("name", ["cancel", "discard"])
    def test_what_destroys_asks_before(self, admin_client, name):
        table, _ = ACTS[name]
        jobs = rows_of(table)
        before = everything()
        data = {"action": name, "_selected_action": [job.pk for job in jobs]}

        response = admin_client.post(address(f"{table}_changelist"), data)

        assert "This is for 2 jobs" in response.text
        assert everything() == before

    def test_a_cancel_keeps_its_reason_and_who_asked_and_the_page_shows_both(
        self, admin_client
    ):
        (job, _) = rows_of("job")

        act(admin_client, "cancel", "job", job, value="The customer has left.")

        (entry,) = FinishedJob.objects.get().attempt_log
        assert (entry["by"], entry["why"]) == ("admin", "The customer has left.")
        page = admin_client.get(address("finishedjob_change", job.pk)).text
        assert "by admin" in page
        assert "The customer has left." in page

    def test_an_action_without_jobs_or_without_a_name_says_so(self, admin_client):
        for data in (
            {},
            {"action": "retry"},
            {"action": "retry", "select_across": "0"},
        ):
            url = address("finishedjob_changelist")
            response = admin_client.post(url, data, follow=True)
            assert "Choose" in str(next(iter(response.context["messages"])))

    def test_a_retry_on_the_page_of_a_job_leads_to_the_job_where_it_is(
        self, admin_client
    ):
        (job,) = records(state="FAILED", attempt_log=failure())

        response = act(admin_client, "retry", "finishedjob", job, _page="job")

        assert response.redirect_chain[-1][0] == address("job_change", job.pk)
        assert "will be run again" in response.text
        assert "What operators did" in response.text


class TestEverythingThatMatches:
    def test_a_few_are_moved_at_once_and_only_those_that_match(self, admin_client):
        records(3, state="FAILED", queue_name="mail", attempt_log=failure())
        records(2, state="FAILED", attempt_log=failure())
        records(2, queue_name="mail")

        response = act(
            admin_client,
            "retry",
            "finishedjob",
            across=True,
            query="?state=FAILED&q=queue:mail",
        )

        assert "3 jobs will be run again" in response.text
        assert Job.objects.filter(queue_name="mail").count() == 3
        assert FinishedJob.objects.count() == 4
        entry = LogEntry.objects.get()
        assert "queue:mail" in entry.object_repr
        assert entry.change_message == "3 jobs will be run again"

    def test_many_become_a_job_with_progress_if_a_worker_lives(
        self, admin_client, monkeypatch
    ):
        monkeypatch.setattr(menu, "INLINE", 5)
        records(12, state="FAILED", attempt_log=failure())
        HandWorker()

        response = act(
            admin_client, "retry", "finishedjob", across=True, query="?state=FAILED"
        )
        job = Job.objects.get(queue_name="operations")
        assert response.redirect_chain[-1][0] == address("job_change", job.pk)
        (late,) = records(state="FAILED", attempt_log=failure())
        run_jobs(queues=["operations"])

        done = FinishedJob.objects.get(pk=job.pk)
        assert done.result == {"done": 12, "asked": 0, "skipped": {}}
        assert Job.objects.count() == 12
        assert FinishedJob.objects.filter(pk=late.pk).exists()
        assert LogEntry.objects.get().user.username == "admin"

    def test_many_are_moved_in_the_request_if_no_worker_lives(
        self, admin_client, monkeypatch
    ):
        monkeypatch.setattr(menu, "INLINE", 5)
        records(12, state="FAILED", attempt_log=failure())

        act(admin_client, "discard", "finishedjob", across=True, query="?state=FAILED")

        assert not FinishedJob.objects.exists()
        assert not Job.objects.exists()

    def test_a_filter_that_was_not_understood_moves_nothing(self, admin_client):
        records(3, state="FAILED", attempt_log=failure())

        response = act(
            admin_client, "discard", "finishedjob", across=True, query="?q=qeue:mail"
        )

        assert "There is no qualifier" in response.text
        assert FinishedJob.objects.count() == 3

    def test_the_queue_of_operators_is_in_every_backend(self, settings):
        settings.TASKS = {
            "default": {
                "BACKEND": "dbqueue.backend.DatabaseBackend",
                "QUEUES": ["mail"],
            }
        }

        tasks.echo.using(queue_name="operations").enqueue(1)

        assert not status.is_served("default", "operations")


class TestOtherPages:
    def test_a_queue_is_paused_with_a_reason_and_resumed(self):
        client = client_of(*VIEW, "pause_queue")
        url = address("queue", "mail")

        client.post(url, {"move": "pause", "reason": "the server is down"})
        pause = Pause.objects.get()
        page = client.get(address("queues")).text
        client.post(url, {"move": "resume"})

        assert (pause.key, pause.paused_by) == ("queue:mail", "grace")
        assert "the server is down" in page
        assert not Pause.objects.exists()
        entries = LogEntry.objects.order_by("pk")
        assert [entry.change_message for entry in entries] == [
            "Paused mail: the server is down",
            "Resumed mail",
        ]

    def test_the_queue_of_operators_is_never_paused(self, admin_client):
        admin_client.post(address("queue", "operations"), {"move": "pause"})

        assert not Pause.objects.exists()

    def test_a_worker_is_asked_to_stop(self):
        worker = HandWorker()
        client = client_of(*VIEW, "stop_worker")

        for order in ("quiet", "stop"):
            data = {"order": order, "id": str(worker.id)}
            client.post(address("worker_changelist"), data)

        assert Worker.objects.get().asked == "stop"
        assert LogEntry.objects.count() == 2

    def test_a_process_of_an_engine_is_offered_no_order_and_takes_none(
        self, admin_client
    ):
        worker = HandWorker()
        Worker.objects.update(facts={"kind": "engine"})
        page = address("worker_changelist")
        pages = page, address("worker_change", worker.id)

        texts = [admin_client.get(url).text for url in pages]
        data = {"order": "stop", "id": str(worker.id)}
        answer = admin_client.post(page, data, follow=True).text

        assert [text.count('name="order"') for text in texts] == [0, 0]
        assert "takes no orders from here. Stop it where it was started" in answer
        assert Worker.objects.get().asked is None

    @pytest.mark.parametrize("data", [{}, {"order": "x"}, {"order": "stop", "id": "y"}])
    def test_a_strange_order_is_answered_calmly(self, admin_client, data):
        response = admin_client.post(address("worker_changelist"), data, follow=True)

        assert "ended already" in response.text

    def test_a_task_is_enqueued_by_its_form(self):
        client = client_of(*VIEW, "enqueue_job")
        url = address("task", "tests.tasks.add")

        wrong = client.post(url, {"arg_a": "1", "arg_b": "{"})
        missing = client.post(url, {"arg_a": "1"})
        right = client.post(url, {"arg_a": "1", "arg_b": "[2]"})

        assert "It is no JSON" in wrong.text
        assert "It is required" in missing.text
        job = Job.objects.get()
        assert job.kwargs == {"a": 1, "b": [2]}
        assert job.context["user"] == "grace"
        assert right.url == address("job_change", job.pk)

    def test_a_job_is_retried_with_other_arguments(self):
        client = client_of(*VIEW, "retry_job", "view_job_payload")
        (job,) = records(
            state="FAILED", kwargs={"value": 1}, attempt_log=failure(), args=[]
        )
        url = address("finishedjob_again", job.pk)

        shown = client.get(url)
        wrong = client.post(url, {"arg_0": "nope"})
        right = client.post(url, {"arg_0": '{"a": 2}'})

        assert ">1</textarea>" in shown.text
        assert "It is no JSON" in wrong.text
        new = Job.objects.get()
        assert (new.kwargs, new.retry_of) == ({"value": {"a": 2}}, job.pk)
        assert right.url == address("job_change", new.pk)

    def test_what_is_hidden_keeps_its_value_in_a_retry(self, admin_client):
        (job,) = records(
            state="FAILED",
            task="tests.tasks.noop",
            kwargs={"b": 1, "token": "s3cret"},
            attempt_log=failure(),
        )
        url = address("finishedjob_again", job.pk)

        shown = admin_client.get(url).text
        admin_client.post(url, {"arg_0": "2", "arg_1": '"********"'})

        assert "s3cret" not in shown
        assert Job.objects.get().kwargs == {"token": "s3cret", "b": 2}
