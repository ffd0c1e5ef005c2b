import logging
import tracemalloc
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from uuid import UUID, uuid4

import django
import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, transaction
from django.http import HttpResponse
from django.test import Client, TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone

from dbqueue import aenqueue, enqueue, enqueue_many
from dbqueue.backend import DatabaseBackend
from dbqueue.exceptions import (
    AtomicUnavailable,
    InvalidPayload,
    JobIdTaken,
    MigrationsNotApplied,
    TaskNotFound,
)
from dbqueue.jobs import insert
from dbqueue.models import FinishedJob, Job, JobState
from dbqueue.tasks.framework import (
    InvalidTask,
    TaskResultDoesNotExist,
    task_backends,
    task_enqueued,
)
from dbqueue.testing import run_jobs
from tests import tasks
from tests.support.processes import thorough
from tests.support.workers import heard, together

ours = "dbqueue.backend.DatabaseBackend"
with_transactions = pytest.mark.django_db(transaction=True)
on_two_databases = pytest.mark.django_db(
    transaction=True, databases=["default", "other"]
)


def jobs_elsewhere():
    """Keep the jobs on the alias "other", where no models are."""
    entry = {"BACKEND": ours, "QUEUES": [], "OPTIONS": {"database": "other"}}
    return override_settings(TASKS={"default": entry})


@contextmanager
def by_hand(alias):
    """Switch autocommit off, so that the test commits itself; give the connection."""
    connection = connections[alias]
    connection.set_autocommit(False)
    try:
        yield connection
    finally:
        connection.rollback()
        connection.set_autocommit(True)


@contextmanager
def isolate_models():
    """Let the project have no models but those of dbqueue."""
    ours = [model for model in apps.get_models() if model._meta.app_label == "dbqueue"]
    with patch.object(apps, "get_models", lambda: ours):
        yield


class DoorBackend(DatabaseBackend):
    is_closed = False

    def validate_task(self, task):
        super().validate_task(task)
        if self.is_closed:
            raise InvalidTask("closed")


def queries():
    return CaptureQueriesContext(connection)


def view(request):
    tasks.add.enqueue(1, 2)
    if "fail" in request.GET:
        raise ValueError("The view fails")
    return HttpResponse()


urlpatterns = [path("", view)]


@pytest.mark.django_db
class TestAJob:
    def test_a_job_is_written_with_all_that_is_known(self):
        result = enqueue(tasks.add, 1, b=2)

        job = Job.objects.get()
        assert str(job.pk) == result.id
        assert job.task == "tests.tasks.add"
        assert (job.args, job.kwargs) == ([1], {"b": 2})
        assert (job.queue_name, job.priority, job.backend) == ("default", 0, "default")
        assert (job.state, job.attempt, job.failures) == (JobState.READY, 0, 0)
        assert (job.max_attempts, job.worker_id) == (5, None)
        assert (job.context, job.attempt_log, job.progress) == ({}, [], None)
        assert abs(timezone.now() - job.enqueued_at) < timedelta(minutes=1)
        assert job.run_after is job.started_at is job.last_attempted_at is None

    @pytest.mark.parametrize("known", [tasks.add, "tests.tasks.add", tasks.add.func])
    def test_a_job_is_enqueued_by_task_path_or_function(self, known):
        result = enqueue(known, 1, 2)

        assert Job.objects.get().task == "tests.tasks.add"
        assert result.task == tasks.add

    def test_a_job_is_enqueued_for_a_plain_function_of_an_installed_app(self):
        result = enqueue(tasks.plain, 1, 2)
        run_jobs()
        result.refresh()

        assert result.return_value == 3

    @pytest.mark.parametrize(("hours", "state"), [(1, "SCHEDULED"), (-1, "READY")])
    def test_a_job_takes_an_aware_moment_in_a_project_without_time_zones(
        self, hours, state, settings
    ):
        settings.USE_TZ = False
        moment = datetime.now(UTC) + timedelta(hours=hours)

        result = enqueue(tasks.noop.using(run_after=moment))

        local = timezone.make_naive(moment, timezone.get_default_timezone())
        assert result.state == state
        assert result.task.run_after == Job.objects.get().run_after == local
        assert not run_jobs() or state == "READY"

    def test_a_job_is_enqueued_by_the_method_of_the_task(self):
        tasks.add.enqueue(1, 2)

        assert Job.objects.get().args == [1, 2]

    @pytest.mark.parametrize("known", [tasks.add, "tests.tasks.add"])
    def test_a_job_is_enqueued_from_async_code(self, known):
        async_to_sync(aenqueue)(known, 1, 2)

        assert Job.objects.get().args == [1, 2]

    def test_a_job_is_not_written_for_an_unknown_path(self):
        with pytest.raises(TaskNotFound, match=r"'tests\.tasks\.nothing' cannot be"):
            enqueue("tests.tasks.nothing")

        assert not Job.objects.exists()

    def test_a_job_takes_queue_and_priority(self):
        tasks.add.using(queue_name="mail", priority=-7).enqueue(1, 2)

        job = Job.objects.get()
        assert (job.queue_name, job.priority) == ("mail", -7)

    def test_a_job_for_a_moment_in_the_future_is_scheduled(self):
        moment = timezone.now() + timedelta(hours=2)

        result = tasks.add.using(run_after=moment).enqueue(1, 2)

        assert (result.state, result.status) == ("SCHEDULED", "READY")
        assert Job.objects.get().run_after == moment

    def test_a_job_for_a_while_from_now_is_scheduled_by_the_clock_of_the_database(self):
        tasks.add.using(run_after=timedelta(minutes=5)).enqueue(1, 2)

        job = Job.objects.get()
        assert job.state == JobState.SCHEDULED
        wait = job.run_after - job.enqueued_at
        assert abs(wait - timedelta(minutes=5)) < timedelta(milliseconds=10)

    @pytest.mark.parametrize("after", [timedelta(0), timedelta(days=-1)])
    def test_a_job_that_is_due_already_is_ready(self, after):
        assert tasks.noop.using(run_after=after).enqueue().state == "READY"
        moment = timezone.now() + after
        assert tasks.noop.using(run_after=moment).enqueue().state == "READY"

    def test_a_job_keeps_the_attempts_its_task_allows_at_that_time(self):
        tasks.fail.enqueue()
        with override_settings(DBQUEUE={"MAX_ATTEMPTS": 9}):
            tasks.noop.enqueue()

        allowed = dict(Job.objects.values_list("task", "max_attempts"))
        assert allowed == {"tests.tasks.fail": 2, "tests.tasks.noop": 9}

    def test_a_job_remembers_the_alias_of_its_backend(self):
        entries = {a: {"BACKEND": ours, "QUEUES": []} for a in ("default", "second")}
        with override_settings(TASKS=entries):
            result = tasks.noop.using(backend="second").enqueue()

            assert (result.backend, Job.objects.get().backend) == ("second", "second")

    def test_a_job_is_announced_with_the_class_of_the_backend(self):
        with heard(task_enqueued) as calls:
            result = tasks.noop.enqueue()

        assert calls == [(DatabaseBackend, result)]

    def test_a_job_is_not_taken_by_a_backend_with_a_misspelt_option(self, settings):
        options = {"databse": "default"}
        settings.TASKS = {"default": {"BACKEND": ours, "OPTIONS": options}}

        with pytest.raises(ImproperlyConfigured, match="Did you mean 'database'"):
            tasks.noop.enqueue()


@pytest.mark.django_db
def test_a_check_of_tasks_of_a_projects_own_backend_is_made_at_each_enqueue():
    entry = {"BACKEND": f"{__name__}.DoorBackend"}
    with override_settings(TASKS={"default": entry}):
        tasks.noop.enqueue()
        task_backends["default"].is_closed = True

        with pytest.raises(InvalidTask, match="closed"):
            tasks.noop.enqueue()


class TestTheTransaction(TestCase):
    def test_a_job_costs_its_transaction_exactly_one_query(self):
        with self.assertNumQueries(1):
            tasks.add.enqueue(1, 2)
        with self.assertNumQueries(1):
            tasks.add.using(run_after=timedelta(1), priority=3).enqueue(1, 2)

    def test_many_jobs_cost_their_transaction_one_query(self):
        with self.assertNumQueries(1):
            enqueue_many(tasks.add, [(i, 1) for i in range(1_000)])

        assert Job.objects.count() == 1_000

    def test_a_transaction_takes_the_job_with_it_when_it_rolls_back(self):
        with transaction.atomic():
            result = tasks.add.enqueue(1, 2)
            transaction.set_rollback(True)

        with pytest.raises(TaskResultDoesNotExist):
            tasks.add.get_result(result.id)


@with_transactions
class TestWithoutATransaction:
    def test_without_a_transaction_a_job_costs_exactly_one_query(self):
        tasks.noop.enqueue()  # a first NOTIFY of the window

        with queries() as captured:
            tasks.add.enqueue(1, 2)

        assert len(captured) == 1

    def test_without_a_transaction_the_first_job_of_a_window_costs_one_query_too(self):
        connection.ensure_connection()

        with queries() as captured:
            tasks.add.using(queue_name=str(uuid4())).enqueue(1, 2)

        assert len(captured) == 1


@with_transactions
class TestARequest:
    @pytest.fixture(autouse=True)
    def atomic_requests(self):
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        with override_settings(ROOT_URLCONF=__name__):
            yield
        connection.settings_dict["ATOMIC_REQUESTS"] = False

    def test_a_request_adds_one_query_to_its_transaction(self):
        with queries() as captured:
            Client().get("/")

        statements = [query["sql"].strip().split(None, 1)[0] for query in captured]
        assert statements.count("INSERT") == 1
        assert set(statements) <= {"BEGIN", "INSERT", "COMMIT"}
        assert Job.objects.count() == 1

    def test_a_request_that_fails_leaves_no_job(self):
        with pytest.raises(ValueError, match="The view fails"):
            Client().get("/?fail")

        assert not Job.objects.exists()


@with_transactions
class TestAnotherConnection:
    def see(self):
        (count,) = together(Job.objects.count)
        return count

    def test_another_connection_sees_the_job_only_after_the_commit(self):
        with transaction.atomic():
            tasks.noop.enqueue()
            assert self.see() == 0

        assert self.see() == 1

    def test_another_connection_never_sees_a_job_that_was_rolled_back(self):
        with transaction.atomic():
            tasks.noop.enqueue()
            transaction.set_rollback(True)

        assert self.see() == 0


@pytest.mark.django_db
class TestManyJobs:
    def test_many_jobs_keep_their_order(self):
        results = enqueue_many(tasks.add, [(1, 2), [3, 4], {"a": 5, "b": 6}])

        assert [(r.args, r.kwargs) for r in results] == [
            ([1, 2], {}),
            ([3, 4], {}),
            ([], {"a": 5, "b": 6}),
        ]
        run_jobs()
        for result in results:
            result.refresh()
        assert [result.return_value for result in results] == [3, 7, 11]

    def test_many_jobs_are_enqueued_by_path_and_with_other_settings(self):
        enqueue_many("tests.tasks.noop", [()])
        enqueue_many(tasks.noop.using(queue_name="mail", priority=4), [(), ()])

        found = Job.objects.values_list("queue_name", "priority").order_by("id")
        assert list(found) == [("default", 0), ("mail", 4), ("mail", 4)]

    @pytest.mark.parametrize("size", [1, 60, 250, 10_000])
    def test_many_jobs_take_as_many_statements_as_their_bytes_need(
        self, size, monkeypatch
    ):
        monkeypatch.setattr(insert, "CHUNK_SIZE", size)
        values = ["x" * (10 * i) for i in range(20)]

        results = enqueue_many(tasks.echo, [(value,) for value in values])

        assert [result.args for result in results] == [[value] for value in values]
        rows = Job.objects.in_bulk([result.id for result in results])
        assert [rows[UUID(result.id)].args[0] for result in results] == values

    @thorough
    def test_many_jobs_may_have_more_than_a_gigabyte_of_arguments(self):
        results = enqueue_many(tasks.noop, [("x" * 700_000,)] * 1700)

        assert Job.objects.count() == len(results) == 1700

    def test_many_jobs_may_wait_for_their_time(self):
        results = enqueue_many(tasks.noop.using(run_after=timedelta(1)), [(), ()])

        assert [result.state for result in results] == ["SCHEDULED", "SCHEDULED"]

    def test_many_jobs_may_be_none(self):
        with queries() as captured:
            assert len(enqueue_many(tasks.noop, [])) == 0

        assert len(captured) == 0

    def test_many_jobs_come_from_any_iterable(self):
        assert len(enqueue_many(tasks.echo, ((i,) for i in range(3)))) == 3

    def test_many_jobs_give_a_sequence_of_results_each_made_once(self):
        results = enqueue_many(tasks.echo, [(i,) for i in range(5)])

        assert [result.args for result in results[1:-1]] == [[1], [2], [3]]
        assert results[-1] is results[4] is list(results)[4]
        with pytest.raises(IndexError):
            results[5]

    def test_many_jobs_leave_little_in_memory_until_their_results_are_read(self):
        calls = [(i,) for i in range(2_000)]
        tracemalloc.start()

        results = enqueue_many(tasks.echo, calls)

        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert kept / len(results) < 500  # bytes

    def test_many_jobs_are_all_refused_for_one_that_is_wrong(self):
        with pytest.raises(InvalidPayload, match="Argument 1 is of type 'object'"):
            enqueue_many(tasks.echo, [(1,), (object(),)])

        assert not Job.objects.exists()

    @pytest.mark.parametrize("wrong", [(object(),), (1, 2), ("x" * 2_000_000,)])
    def test_enqueue_many_names_the_call_that_is_wrong(self, wrong):
        with pytest.raises(TypeError, match=r"^Call 3: .*\w"):
            enqueue_many(tasks.echo, [(1,), (2,), wrong, (object(),)])

    @pytest.mark.parametrize("call", ["ab", 1, None, {1, 2}])
    def test_many_jobs_must_be_tuples_or_dicts(self, call):
        with pytest.raises(InvalidTask, match=r"Call 2 is .* must be a tuple"):
            enqueue_many(tasks.noop, [(), call])

    def test_many_jobs_cannot_share_a_job_id(self):
        with pytest.raises(InvalidTask, match="A job_id is for one job"):
            enqueue_many(tasks.noop.using(job_id=uuid4()), [(), ()])

    def test_many_jobs_are_each_announced(self):
        with heard(task_enqueued) as calls:
            results = enqueue_many(tasks.noop, [()] * 3)

        assert [result for _, result in calls] == list(results)

    @pytest.mark.parametrize("lines", [0, 3])
    def test_many_jobs_are_logged_by_django_at_debug(self, lines, caplog):
        level = logging.DEBUG if lines else logging.INFO
        name = "django_tasks" if django.VERSION < (6, 0) else "django.tasks"
        with caplog.at_level(level, logger=name):
            enqueue_many(tasks.noop, [()] * 3)

        assert caplog.text.count("enqueued backend=default") == lines


class TestAJobId:
    @pytest.mark.django_db
    def test_a_job_id_is_the_id_of_the_job(self):
        id = uuid4()

        assert tasks.noop.using(job_id=id).enqueue().id == str(id)
        assert tasks.noop.using(job_id=str(uuid4())).enqueue().id != str(id)

    @pytest.mark.django_db
    def test_a_job_id_used_again_returns_the_first_job(self):
        task = tasks.add.using(job_id=uuid4())
        first = task.enqueue(1, 2)

        again = task.enqueue(3, 4)

        assert (again.id, again.args) == (first.id, [1, 2])
        assert Job.objects.count() == 1

    @pytest.mark.django_db
    def test_a_job_id_used_again_returns_the_job_that_has_finished(self):
        task = tasks.add.using(job_id=uuid4())
        task.enqueue(1, 2)
        run_jobs()

        again = task.enqueue(3, 4)

        assert (again.status, again.return_value) == ("SUCCESSFUL", 3)
        assert run_jobs() == []
        assert (Job.objects.count(), FinishedJob.objects.count()) == (0, 1)

    @with_transactions
    def test_a_job_id_costs_one_query_if_it_is_new(self):
        with queries() as captured:
            tasks.add.using(job_id=uuid4()).enqueue(1, 2)

        assert len(captured) == 1

    @with_transactions
    @pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
    def test_a_job_id_runs_once_though_a_transaction_does_not_see_its_end(
        self, level, only_postgres
    ):
        task = tasks.add.using(job_id=uuid4())
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
            assert not FinishedJob.objects.exists()
            together(lambda: task.enqueue(1, 2))
            ((first,),) = together(run_jobs)

            task.enqueue(3, 4)

        result = task.get_result(first.id)
        assert (result.status, result.return_value) == ("SUCCESSFUL", 3)
        assert run_jobs() == []
        assert not Job.objects.exists()
        assert FinishedJob.objects.get().attempt == 1

    @pytest.mark.django_db
    def test_a_job_id_of_another_task_is_refused(self):
        id = uuid4()
        tasks.add.using(job_id=id).enqueue(1, 2)

        with pytest.raises(JobIdTaken, match=r"belongs to a job of 'tests.tasks"):
            tasks.noop.using(job_id=id).enqueue()

    @with_transactions
    def test_a_job_id_makes_one_job_of_many_enqueues_at_once(self):
        task = tasks.add.using(job_id=uuid4())

        results = together(*[lambda i=i: task.enqueue(i, 0) for i in range(8)])

        assert Job.objects.count() == 1
        assert len({tuple(result.args) for result in results}) == 1

    @with_transactions
    def test_a_job_id_makes_one_job_while_the_first_one_runs_and_finishes(self):
        task = tasks.add.using(job_id=uuid4())
        task.enqueue(1, 2)

        results, *again = together(run_jobs, *[lambda: task.enqueue(1, 2)] * 6)

        assert len(results) == 1
        assert {result.id for result in again} == {results[0].id}
        assert run_jobs() == []
        assert FinishedJob.objects.count() == 1


@on_two_databases
class TestATransactionOnAnotherDatabase:
    def test_a_transaction_elsewhere_delays_the_job_until_its_commit(self):
        with jobs_elsewhere():
            with transaction.atomic():
                with pytest.warns(RuntimeWarning, match="transaction on .*'default'"):
                    result = tasks.add.enqueue(1, 2)
                assert not Job.objects.using("other").exists()

            assert str(Job.objects.using("other").get().pk) == result.id
            run_jobs()
            result.refresh()
        assert result.return_value == 3

    def test_a_transaction_elsewhere_takes_the_job_with_it_when_it_rolls_back(self):
        with jobs_elsewhere():
            with transaction.atomic():
                with pytest.warns(RuntimeWarning):
                    tasks.add.enqueue(1, 2)
                transaction.set_rollback(True)

            assert not Job.objects.using("other").exists()

    def test_a_transaction_elsewhere_takes_an_aware_moment_without_time_zones(
        self, settings
    ):
        settings.USE_TZ = False
        moment = datetime.now(UTC) + timedelta(hours=1)
        with jobs_elsewhere(), transaction.atomic(), pytest.warns(RuntimeWarning):
            result = enqueue(tasks.noop.using(run_after=moment))

        assert result.state == "SCHEDULED"

    def test_a_transaction_elsewhere_delays_many_jobs_until_its_commit(self):
        with jobs_elsewhere():
            with transaction.atomic():
                with pytest.warns(RuntimeWarning):
                    enqueue_many(tasks.echo, [(1,), (2,)])
                assert not Job.objects.using("other").exists()

            assert Job.objects.using("other").count() == 2

    def test_a_transaction_elsewhere_announces_the_job_when_it_is_written(self):
        with heard(task_enqueued) as calls, jobs_elsewhere(), transaction.atomic():
            with pytest.warns(RuntimeWarning):
                result = tasks.noop.enqueue()
            assert calls == []

        assert [result.id for _, result in calls] == [result.id]

    @pytest.mark.parametrize(
        "call",
        [
            lambda: enqueue(tasks.noop),
            lambda: enqueue("tests.tasks.noop"),
            lambda: tasks.noop.enqueue(),
            lambda: tasks.noop.using(priority=1).enqueue(),
            lambda: enqueue_many(tasks.noop, [()]),
        ],
    )
    def test_a_transaction_elsewhere_is_told_with_the_line_that_enqueued(self, call):
        with (
            jobs_elsewhere(),
            transaction.atomic(),
            pytest.warns(RuntimeWarning) as warned,
        ):
            call()

        assert [item.filename for item in warned] == [__file__]
        assert warned[0].lineno == call.__code__.co_firstlineno

    def test_a_transaction_by_hand_takes_the_job_although_another_is_open(self):
        with jobs_elsewhere(), by_hand("other") as connection:
            with transaction.atomic():
                tasks.noop.enqueue()
            assert Job.objects.using("other").exists()
            connection.rollback()

            assert not Job.objects.using("other").exists()

    def test_a_transaction_elsewhere_does_not_matter_where_the_jobs_are_in_one_too(
        self,
    ):
        with jobs_elsewhere(), warnings.catch_warnings():
            warnings.simplefilter("error")
            with transaction.atomic(), transaction.atomic(using="other"):
                tasks.noop.enqueue()

                assert Job.objects.using("other").count() == 1

    def test_no_transaction_is_needed_to_keep_jobs_elsewhere(self):
        with jobs_elsewhere():
            result = tasks.noop.enqueue()

            assert tasks.noop.get_result(result.id) == result
            assert not Job.objects.exists()

    def test_a_transaction_elsewhere_cannot_be_that_of_an_atomic_task(self):
        with jobs_elsewhere(), pytest.raises(AtomicUnavailable, match="'other'"):
            tasks.write_group.enqueue("x")

    def test_without_models_of_its_own_a_project_may_have_atomic_tasks(self):
        with jobs_elsewhere(), isolate_models():
            result = tasks.write_group.enqueue("x")

            assert Job.objects.using("other").filter(pk=result.id).exists()


@with_transactions
class TestATransactionByHand:
    @pytest.mark.parametrize(
        "call",
        [
            lambda: enqueue(tasks.noop),
            lambda: enqueue(tasks.noop.using(run_after=timedelta(1))),
            lambda: enqueue_many(tasks.noop, [()]),
        ],
    )
    def test_a_transaction_by_hand_commits_the_job_or_takes_it_along(self, call):
        with by_hand("default"):
            call()
            transaction.rollback()
            assert not Job.objects.exists()

            call()
            transaction.commit()

        assert Job.objects.count() == 1

    def test_a_transaction_by_hand_may_have_an_atomic_block_in_it(self):
        with by_hand("default"):
            with transaction.atomic():
                tasks.noop.enqueue()
            transaction.commit()

        assert Job.objects.count() == 1

    def test_a_transaction_by_hand_is_not_announced_before_its_commit(
        self, only_postgres
    ):
        queue = str(uuid4())  # that has no window yet
        with by_hand("default"), queries() as captured:
            tasks.noop.using(queue_name=queue).enqueue()
            transaction.commit()

        assert not [query for query in captured if "notify" in query["sql"].lower()]


@with_transactions
@pytest.mark.parametrize(
    "at_once",
    [lambda f: f(), lambda f, using=None: f(), lambda f, using=None, robust=0: f()],
)
def test_a_test_that_calls_on_commit_hooks_at_once_may_enqueue(at_once, monkeypatch):
    monkeypatch.setattr(transaction, "on_commit", at_once)

    enqueue(tasks.noop)
    enqueue(tasks.noop.using(job_id=uuid4()))
    enqueue_many(tasks.noop, [(), ()])

    assert Job.objects.count() == 4


@with_transactions
@pytest.mark.usefixtures("no_tables")
class TestWithoutMigrations:
    @pytest.mark.parametrize(
        "ask",
        [
            lambda: tasks.noop.enqueue(),
            lambda: tasks.noop.using(job_id=uuid4()).enqueue(),
            lambda: enqueue_many(tasks.noop, [(), ()]),
            lambda: task_backends["default"].get_result(str(uuid4())),
        ],
    )
    def test_without_migrations_the_caller_is_told_to_migrate(self, ask):
        with pytest.raises(MigrationsNotApplied, match=r"manage.py migrate --database"):
            ask()
