import json
import shlex
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command, load_command_class
from django.core.management.base import CommandError
from django.utils import timezone, translation

from dbqueue import enqueue_many, status
from dbqueue.maintenance import leases
from dbqueue.models import FinishedJob, Job
from dbqueue.tasks.framework import BaseTaskBackend
from tests import tasks
from tests.maintenance.test_maintenance import finished
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db


def run(*arguments):
    """Run a command and return what it wrote."""
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


class TestQueueStatus:
    @pytest.fixture
    def work(self):
        tasks.noop.using(queue_name="mail").enqueue()
        tasks.noop.using(queue_name="mail").enqueue()
        tasks.noop.using(queue_name="mail", run_after=timedelta(hours=1)).enqueue()
        tasks.add.using(queue_name="reports").enqueue(1, 2)
        Job.objects.filter(queue_name="mail").update(
            enqueued_at=timezone.now() - timedelta(seconds=90)
        )
        worker = HandWorker("reports")
        worker.claim()
        return worker

    @pytest.mark.usefixtures("work")
    def test_queuestatus_shows_queues_and_workers_as_text(self):
        text = run("queuestatus")

        queues, _, workers = text.partition("\n\n")
        titles, mail, reports = queues.splitlines()
        assert titles.split() == [
            *("queue", "ready", "scheduled", "running", "oldest", "wait")
        ]
        assert mail.split()[:4] == ["mail", "2", "1", "0"]
        wait, unit = mail.split()[4:]
        assert 90 <= int(wait) < 150
        assert unit == "s"
        assert reports.split() == ["reports", "0", "0", "1"]
        assert "hand" in workers
        assert "tests.tasks.add" in workers

    def test_queuestatus_shows_the_same_as_json(self, work):
        status = json.loads(run("queuestatus", "--json"))

        mail, reports = status["queues"]
        assert 89 < mail.pop("oldest_wait") < 150
        assert "queue 'mail' are busy" in mail.pop("reason")
        assert mail == {
            **{"queue": "mail", "ready": 2, "scheduled": 1, "running": 0},
            **{"blocked": 0, "paused": 0},
        }
        assert reports["running"] == 1
        assert reports["oldest_wait"] is None
        (worker,) = status["workers"]
        assert 0 <= worker.pop("last_heartbeat") < 60
        assert worker == {
            "id": str(work.id),
            "name": "hand",
            "host": "here",
            "pid": 1,
            "queues": "*",
            "runs": {"tests.tasks.add": 1},
            "unknown_tasks": [],
        }

    def test_queuestatus_lists_the_tasks_that_a_worker_cannot_import(self, work):
        leases.note_unknown("default", work.id, ["app.tasks.new"])

        *_, titles, row = run("queuestatus").splitlines()

        assert titles.split() == ["worker", "pid", "cannot", "import"]
        assert row.split() == ["hand", "1", "app.tasks.new"]
        (worker,) = status.workers("default")
        assert worker.unknown_tasks == ["app.tasks.new"]

    def test_a_job_says_in_the_language_of_the_reader_why_it_waits(self):
        tasks.noop.using(queue_name="mail").enqueue()

        with translation.override("de"):
            reason = status.reason(Job.objects.get())

        assert reason.startswith(
            "Kein lebender Worker bedient die Warteschlange 'mail'"
        )

    def test_a_job_whose_task_no_live_worker_knows_says_so(self):
        tasks.noop.using(queue_name="mail").enqueue()
        job = Job.objects.get()
        workers = [HandWorker("mail"), HandWorker("*")]
        leases.note_unknown("default", workers[0].id, [job.task])
        assert "are busy" in status.reason(job)

        leases.note_unknown("default", workers[1].id, ["other", job.task])

        assert "No live worker of the queue 'mail' knows" in status.reason(job)
        leases.note_unknown("default", workers[1].id, [])
        assert "are busy" in status.reason(job)

    def test_queuestatus_says_when_there_is_nothing(self):
        assert run("queuestatus").split("\n\n") == [
            "No unfinished jobs.",
            "No worker is alive.\n",
        ]
        assert json.loads(run("queuestatus", "--json")) == {"queues": [], "workers": []}

    def test_queuestatus_counts_the_wait_of_a_delayed_job_from_when_it_was_due(self):
        tasks.noop.using(run_after=timedelta(hours=1)).enqueue()
        Job.objects.update(
            state="READY",
            enqueued_at=timezone.now() - timedelta(days=1),
            run_after=timezone.now() - timedelta(seconds=30),
        )

        (queue,) = json.loads(run("queuestatus", "--json"))["queues"]

        assert 29 < queue["oldest_wait"] < 90

    def test_queuestatus_shows_the_longest_wait_of_all_priorities(self):
        for priority, seconds in ((0, 50), (7, 10), (-7, 90)):
            moment = timezone.now() - timedelta(seconds=seconds)
            job = tasks.noop.using(priority=priority).enqueue()
            Job.objects.filter(pk=job.id).update(enqueued_at=moment)

        (queue,) = status.queues("default")

        assert queue.ready == 3
        assert 89 < queue.oldest_wait < 150

    def test_queuestatus_counts_no_further_than_a_cap(self, monkeypatch):
        monkeypatch.setattr(status, "CAP", 5)
        enqueue_many(tasks.noop.using(queue_name="busy"), [()] * 6)
        enqueue_many(tasks.noop.using(queue_name="busy", priority=1), [()] * 6)
        enqueue_many(tasks.noop.using(queue_name="calm"), [()] * 4)
        late = tasks.noop.using(run_after=timedelta(days=2))
        enqueue_many(late.using(queue_name="later"), [()] * 9)
        enqueue_many(late.using(run_after=timedelta(days=1)), [()] * 2)

        _titles, *rows = run("queuestatus").partition("\n\n")[0].splitlines()
        queues = json.loads(run("queuestatus", "--json"))["queues"]

        assert [row.split()[:3] for row in rows] == [
            ["busy", "5+", "0+"],
            ["calm", "4", "0+"],
            ["default", "0", "2+"],
            ["later", "0", "3+"],
        ]
        assert [(q["ready"], q["scheduled"]) for q in queues] == [
            (5, 0),
            (4, 0),
            (0, 2),
            (0, 3),
        ]

    def test_queuestatus_asks_few_queries_however_many_queues_and_workers(
        self, django_assert_max_num_queries
    ):
        for i in range(20):
            tasks.noop.using(queue_name=f"queue-{i}").enqueue()
            HandWorker()

        with django_assert_max_num_queries(8):
            run("queuestatus")

    @pytest.mark.parametrize("command", ["queuestatus", "prunejobs"])
    def test_queuestatus_refuses_an_unknown_backend(self, command):
        with pytest.raises(
            CommandError, match=r"'defualt' is not a .*Did you mean 'def"
        ):
            run(command, "--backend", "defualt")

    @pytest.mark.parametrize("command", ["queuestatus", "prunejobs", "runworker"])
    def test_queuestatus_refuses_a_project_without_our_backend(self, command, settings):
        framework = BaseTaskBackend.__module__.rpartition(".")[0]
        other = f"{framework}.dummy.DummyBackend"
        settings.TASKS = {"default": {"BACKEND": other}}

        with pytest.raises(CommandError, match="No entry of TASKS has the BACKEND"):
            run(command)

    @pytest.mark.parametrize("command", ["queuestatus", "prunejobs", "runworker"])
    @pytest.mark.parametrize("backend", ["RecordingBackend", "ImmediateBackend"])
    def test_queuestatus_refuses_a_backend_for_tests_that_stores_no_jobs(
        self, command, backend, settings
    ):
        settings.TASKS = {"default": {"BACKEND": f"dbqueue.testing.{backend}"}}

        with pytest.raises(CommandError, match="No entry of TASKS has the BACKEND"):
            run(command)


class TestPruneJobs:
    def left(self):
        return sorted(FinishedJob.objects.values_list("state", flat=True))

    def test_prunejobs_deletes_what_the_settings_let_go(self):
        finished("SUCCESSFUL", days=8)
        finished("SUCCESSFUL", days=6)
        finished("FAILED", days=31)
        finished("FAILED", days=29)
        finished("CANCELLED", days=31)

        assert run("prunejobs") == "3 finished jobs deleted.\n"
        assert self.left() == ["FAILED", "SUCCESSFUL"]

    def test_prunejobs_keeps_for_ever_what_the_settings_keep(self, settings):
        settings.DBQUEUE = {"KEEP_SUCCESSFUL": None, "KEEP_FAILED": 60}
        finished("SUCCESSFUL", days=999)
        finished("FAILED", days=1)

        run("prunejobs")

        assert self.left() == ["SUCCESSFUL"]

    @pytest.mark.parametrize(
        ("age", "left"), [("90s", 0), ("30m", 1), ("12h", 1), ("2d", 1)]
    )
    def test_prunejobs_takes_an_age(self, age, left):
        finished(days=20 / 1440)  # 20 minutes
        finished(days=99)

        run("prunejobs", "--older-than", age)

        assert len(self.left()) == left

    def test_prunejobs_takes_states(self):
        for state in ("SUCCESSFUL", "FAILED", "CANCELLED"):
            finished(state, days=99)

        run("prunejobs", "--state", "failed", "--state", "cancelled")

        assert self.left() == ["SUCCESSFUL"]

    def test_prunejobs_goes_on_until_nothing_is_left(self):
        finished(days=99, count=25)

        assert run("prunejobs", "--batch", "10") == "25 finished jobs deleted.\n"
        assert self.left() == []

    def test_prunejobs_speaks_of_one_job_in_the_singular(self):
        finished(days=99)

        assert run("prunejobs") == "1 finished job deleted.\n"

    def test_prunejobs_only_counts_when_told(self):
        finished(days=99, count=3)

        assert run("prunejobs", "--dry-run") == "3 finished jobs would be deleted.\n"
        assert len(self.left()) == 3

    @pytest.mark.parametrize("age", ["", "d", "7", "7w", "1.5d", "soon"])
    def test_prunejobs_refuses_what_is_not_an_age(self, age):
        with pytest.raises(
            CommandError, match="is not an age like 90s, 30m, 12h or 7d"
        ):
            run("prunejobs", "--older-than", age)

    @pytest.mark.parametrize("command", ["prunejobs", "uploads_cleanup"])
    @pytest.mark.parametrize("batch", ["0", "-5", "many"])
    def test_prunejobs_refuses_a_batch_of_no_rows(self, command, batch):
        with pytest.raises(CommandError, match="is not a whole number from 1"):
            run(command, f"--batch={batch}")

    def test_prunejobs_is_quiet_when_told(self):
        assert run("prunejobs", "--verbosity", "0") == ""

    def test_prunejobs_takes_queues(self):
        for queue in ("mail", "reports", "mail", "uploads", "mail"):
            finished(days=99, queue_name=queue)

        said = run("prunejobs", "--queue", "mail", "--queue", "uploads", "--dry-run")
        run("prunejobs", "--queue", "mail", "--queue", "uploads", "--batch", "1")

        assert said == "4 finished jobs would be deleted.\n"
        assert FinishedJob.objects.get().queue_name == "reports"

    def test_prunejobs_refuses_a_queue_that_never_was(self, settings):
        ours = {"BACKEND": "dbqueue.backend.DatabaseBackend", "QUEUES": ["mail"]}
        settings.TASKS = {"default": ours}
        finished(queue_name="gone", days=99)

        with pytest.raises(CommandError, match=r"'mial' is in .*Did you mean 'mail'\?"):
            run("prunejobs", "--queue", "mial")
        run("prunejobs", "--queue", "gone")

        assert not FinishedJob.objects.exists()


DEFAULTS = {
    "runworker": [
        "default: 3, from DBQUEUE['PROCESSES']",
        "default: 4, from DBQUEUE['THREADS']",
        "default: 100, from DBQUEUE['ASYNC_CONCURRENCY']",
        "default: 2.5, from DBQUEUE['GRACE']",
    ],
    "prunejobs": [
        "default: 7d, from DBQUEUE['KEEP_SUCCESSFUL']",
        "default: for ever, from DBQUEUE['KEEP_FAILED']",
        "default: 1000",
    ],
    "queuestatus": ["default: 2.0"],
    "uploads_cleanup": [
        "default: 48, from DBQUEUE['UPLOADS']['KEEP']",
        "default: 720, from DBQUEUE['UPLOADS']['KEEP_FAILED']",
        "default: 200",
    ],
}


@pytest.mark.parametrize("command", DEFAULTS)
class TestHelp:
    def parser(self, command):
        return load_command_class("dbqueue", command).create_parser(
            "manage.py", command
        )

    def text(self, command):
        return " ".join(self.parser(command).format_help().split())

    def test_help_shows_the_values_of_defaults(self, command, settings):
        uploads = {"KEEP": 48 * 3600}
        settings.DBQUEUE = {"PROCESSES": 3, "GRACE": 2.5, "KEEP_FAILED": None}
        settings.DBQUEUE |= {"UPLOADS": uploads}

        text = self.text(command)

        for words in DEFAULTS[command]:
            assert words in text

    def test_help_has_examples_that_work(self, command):
        parser = self.parser(command)

        title, *examples = parser.epilog.splitlines()

        assert title == "examples:"
        for example in examples:
            manage, name, *arguments = shlex.split(example)
            assert (manage, name) == ("manage.py", command)
            parser.parse_args(arguments)

    def test_help_is_there_though_dbqueue_is_wrong(self, command, settings):
        settings.DBQUEUE = {"LEESE": 1, "UPLOADS": {"KEPT": 1}}

        assert "examples:" in self.text(command)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_tables")
class TestWithoutMigrations:
    @pytest.mark.parametrize("command", ["queuestatus", "prunejobs"])
    def test_without_migrations_the_user_of_a_command_gets_a_sentence(self, command):
        with pytest.raises(CommandError, match=r"Run: manage\.py migrate"):
            run(command)
