"""Code that was written for Celery, with other imports."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from dbqueue.compat import celery
from dbqueue.compat.celery.exceptions import Reject, TaskRevokedError
from dbqueue.compat.celery.result import AsyncResult
from dbqueue.compat.celery.run import trace
from dbqueue.models import FinishedJob, Job
from dbqueue.testing import run_jobs
from tests.compat import celery_tasks as tasks
from tests.compat.tables import shows
from tests.support.processes import once

pytestmark = [pytest.mark.django_db, once]
EAGER = override_settings(CELERY_TASK_ALWAYS_EAGER=True)


def ran(call):
    """Run what was enqueued; return the AsyncResult by its id alone."""
    run_jobs(scheduled=True)
    return AsyncResult(call.id)


class TestATask:
    @shows(
        "shared_task",
        "Celery(…).task",
        how="Also without parentheses. `async def` is refused: use `@dbqueue.task`.",
    )
    def test_it_is_called_directly(self):
        assert tasks.add(1, b=2) == 3
        assert tasks.add.run(1) == 2

    @shows(
        "delay",
        "apply_async",
        "run",
        "apply",
        "delay_on_commit",
        how="In the open transaction, with an id at once.",
        about="a direct call",
    )
    def test_delay_enqueues_it_and_an_id_is_enough(self):
        result = tasks.add.delay(1, b=2)
        assert AsyncResult(result.id).state == "PENDING"
        assert not result.ready()

        found = ran(result)

        assert (found.state, found.result, found.get(timeout=1)) == ("SUCCESS", 3, 3)
        assert found.successful()
        assert found.date_done

    def test_delay_is_rolled_back_with_its_transaction(self):
        with transaction.atomic():
            assert tasks.add.delay(1).id
            transaction.set_rollback(True)

        assert not Job.objects.exists()

    @shows(
        "bind",
        "name",
        "base",
        "queue",
        "priority",
        "expires",
        how="`priority`: -100 to 100, higher first.",
    )
    @shows(
        "apply_async(args, kwargs, countdown, eta, expires, queue, priority)",
    )
    def test_options_of_a_call(self):
        eta = timezone.now() + timedelta(hours=1)
        id = str(uuid4())

        tasks.add.apply_async((1,), {"b": 2}, queue="mail", priority=5, task_id=id)
        later = tasks.add.apply_async([1], countdown=60, ignore_result=True)
        tasks.add.apply_async([1], eta=eta, expires=7200)

        first = Job.objects.get(pk=id)
        assert (first.queue_name, first.priority, first.kwargs) == ("mail", 5, {"b": 2})
        assert Job.objects.get(pk=later.id).state == "SCHEDULED"
        assert Job.objects.get(run_after=eta).expires_at is not None

    @pytest.mark.parametrize(
        "value", [datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.10"), uuid4(), [1, "a"]]
    )
    def test_values_arrive_as_they_left(self, value):
        with patch.object(tasks.add, "run", lambda a, b=1: [a == value, b]):
            assert ran(tasks.add.delay(value)).result == [True, 1]

    @shows(
        "typing",
        how="Arguments that do not fit are refused by `delay()`.",
    )
    def test_arguments_that_do_not_fit_are_refused_at_once(self):
        with pytest.raises(TypeError, match="missing a required argument"):
            tasks.add.delay()

    @shows(
        "send_task",
        "app.tasks",
        "app.register_task",
        status="differs",
        how="The task must be importable where it is sent: `NotRegistered` "
        "names the nearest.",
    )
    def test_a_name_of_its_own_and_send_task(self):
        assert tasks.named.name == "short.name"
        assert ran(tasks.app.send_task("short.name")).result is None
        path = "tests.compat.celery_tasks.add"
        assert ran(tasks.app.send_task(path, [1], {"b": 4})).result == 5

    @shows(
        '@patch("app.tasks.x.delay")',
    )
    def test_it_can_be_replaced_in_a_test(self):
        with patch("tests.compat.celery_tasks.add.delay") as delay:
            tasks.add.delay(5)

        delay.assert_called_once_with(5)


class TestARetry:
    @shows(
        "self.retry(args, kwargs, exc, throw, eta, countdown, max_retries)",
        how="Under the same id. With `throw=False` the task runs again "
        "once it has returned.",
    )
    def test_it_runs_again_under_its_id_and_counts(self):
        result = tasks.stubborn.delay(2)

        found = ran(result)

        assert found.result == [result.id, 2, False]

    def test_at_the_limit_the_cause_is_raised(self):
        found = ran(tasks.stubborn.delay(3))

        assert found.state == "FAILURE"
        assert isinstance(found.result, ValueError)
        with pytest.raises(ValueError, match="not yet"):
            found.get(timeout=1)

    def test_a_stop_of_the_worker_is_no_retry(self, worker):
        tasks.stubborn.delay(2)
        (job,) = worker.claim()
        worker.release(job)

        run_jobs(scheduled=True)

        assert FinishedJob.objects.get().result[1] == 2

    @shows(
        "max_retries",
        "default_retry_delay",
        "autoretry_for",
        "dont_autoretry_for",
        "retry_kwargs",
        "retry_backoff",
        "retry_backoff_max",
        "retry_jitter",
        how="With Celery's defaults: 3 retries, 180 seconds, full jitter.",
    )
    def test_autoretry_is_for_some_exceptions(self):
        assert ran(tasks.flaky.delay()).state == "FAILURE"
        assert FinishedJob.objects.get().attempt == 3
        particular = ran(tasks.particular.delay())
        assert FinishedJob.objects.get(pk=particular.id).attempt == 1

    def test_backoff_has_full_jitter_up_to_its_limit(self, monkeypatch):
        asked = []
        monkeypatch.setattr(random, "randrange", lambda n: asked.append(n) or 0)

        for retries in (0, 1, 2, 20):
            trace.backoff(tasks.flaky, retries)

        assert asked == [2, 3, 5, 601]

    def test_without_a_retry_a_task_runs_once(self):
        found = ran(tasks.fail.delay("no luck"))

        assert FinishedJob.objects.get().attempt == 1
        assert str(found.result) == "no luck"
        assert "ValueError: no luck" in found.traceback

    def test_it_goes_on_with_other_arguments(self):
        assert ran(tasks.countdown.delay(3, seen=[])).result == [3, 2, 1]
        assert tasks.countdown.apply([3], {"seen": []}).get() == [3, 2, 1]

    def test_without_throw_the_task_goes_on_and_is_run_again_then(self):
        tasks.heard.clear()

        found = ran(tasks.softly.delay())

        assert found.result == "done"
        assert tasks.heard == ["after retry()", "again"]

    def test_of_a_direct_call_it_raises_what_it_was_given(self):
        with pytest.raises(ValueError, match="not yet"):
            tasks.stubborn(1)

    @shows(
        "self.retry(queue, priority, …)",
        status="refused",
        how="A retry stays where it is.",
    )
    def test_options_that_a_retry_cannot_have_are_refused(self):
        with EAGER, patch.object(tasks.named, "run", _to_another_queue):
            result = tasks.named.delay()

        assert isinstance(result.result, NotImplementedError)
        assert "A retry stays where it is" in str(result.result)


def _to_another_queue():
    raise tasks.named.retry(queue="slow")


@shows(
    "before_start",
    "on_success",
    "on_failure",
    "on_retry",
    "after_return",
    "__init__",
    "__call__",
    "apply_async",
    "base=",
    about="of a class",
)
def test_hooks_of_a_base_class_are_called_in_order():
    tasks.heard.clear()

    ran(tasks.hooked.delay("fine"))
    ran(tasks.hooked.delay("fail"))
    ran(tasks.hooked.delay("retry"))

    assert tasks.heard == [
        *("before_start", "on_success fine", "after_return SUCCESS"),
        *("before_start", "on_failure broken", "after_return FAILURE"),
        *("before_start", "on_retry again"),
        *("before_start", "on_success retry", "after_return SUCCESS"),
    ]


class TestAState:
    @shows(
        "AsyncResult(id)",
        "state",
        "status",
        "result",
        "info",
        "traceback",
        "date_done",
        "ready",
        "successful",
        "failed",
        "get",
        "wait",
        "forget",
        "revoke",
        "name",
        "args",
        "kwargs",
        "retries",
        "queue",
        "worker",
        how="An unknown id is `PENDING`, and `get()` does not wait for it. "
        "It raises inside a task, unless it is allowed, and inside a "
        "transaction.",
    )
    def test_of_an_unknown_id_it_is_pending(self):
        assert AsyncResult(str(uuid4())).state == "PENDING"
        assert AsyncResult("nonsense").state == "PENDING"
        assert AsyncResult("nonsense").result is None

    def test_of_a_running_task_it_is_started_and_then_its_progress(self, worker):
        result = tasks.report.delay()
        (job,) = worker.claim()
        assert AsyncResult(result.id).state == "STARTED"

        worker.run(job)

        assert AsyncResult(result.id).state == "PROGRESS"
        assert AsyncResult(result.id).info == {"current": 3, "total": 10}

    @shows(
        "revoke(terminate, signal)",
        status="differs",
        how="A task that runs is asked to stop, and made to, with or "
        "without `terminate`.",
    )
    def test_of_a_revoked_task_it_is_revoked(self):
        result = tasks.add.delay(1)

        result.revoke()

        assert AsyncResult(result.id).state == "REVOKED"
        with pytest.raises(TaskRevokedError):
            result.get(propagate=True)

    @shows(
        "Ignore",
        "Reject",
        status="differs",
        how="The task is `REVOKED`, or what `update_state()` has said "
        "before. `Reject(requeue=True)` is refused.",
    )
    def test_ignore_and_reject_end_a_task(self):
        assert ran(tasks.ignore.delay()).state == "REVOKED"
        assert ran(tasks.reject.delay()).state == "REVOKED"
        with pytest.raises(NotImplementedError, match="requeue"):
            Reject("bad", requeue=True)

    def test_a_result_is_forgotten(self):
        found = ran(tasks.add.delay(1))

        found.forget()

        assert found.state == "PENDING"


class TestEager:
    @shows(
        "EagerResult",
        "CELERY_TASK_ALWAYS_EAGER",
        "CELERY_TASK_EAGER_PROPAGATES",
        how="Nested tasks run at once, too, and those of `send_task`. "
        "`override_settings` and `app.conf` set them. Hooks and signals are also "
        "called where an exception propagates.",
        status="differs",
    )
    def test_tasks_run_at_once_nested_ones_too(self):
        with EAGER:
            result = tasks.outer.delay(1)

        assert result.successful()
        assert not Job.objects.exists()

    def test_what_they_raise_is_kept_or_raised(self):
        with EAGER:
            assert tasks.fail.delay("no luck").failed()
            with pytest.raises(ValueError, match="no luck"):
                tasks.fail.delay("no luck").get()
            with (
                override_settings(CELERY_TASK_EAGER_PROPAGATES=True),
                pytest.raises(ValueError, match="no luck"),
            ):
                tasks.fail.delay("no luck")

    def test_a_retry_is_raised_where_exceptions_propagate(self):
        with pytest.raises(celery.exceptions.Retry):
            tasks.stubborn.apply([2], throw=True)

    def test_apply_runs_with_retries(self):
        result = tasks.stubborn.apply([2])

        assert result.get()[1] == 2
        assert tasks.stubborn.apply([3]).failed()


class TestWhatThereIsNot:
    @shows(
        "chain",
        "group",
        "chord",
        "\\|",
        "chunks",
        "map",
        "starmap",
        "replace",
        "GroupResult",
        status="refused",
        how="Enqueue the next task at the end of the one before, or by `link`.",
    )
    @pytest.mark.parametrize("name", ["chain", "group", "chord"])
    def test_a_canvas_is_refused_in_words(self, name):
        with pytest.raises(NotImplementedError, match=rf"{name}\(\) is not supported"):
            getattr(celery, name)(tasks.add)

    def test_what_joins_signatures_is_refused_in_words(self):
        with pytest.raises(NotImplementedError, match="at the end of the one before"):
            tasks.add.s(1) | tasks.add.s(2)

    @shows(
        status="refused",
        how="A `TypeError` names the nearest one. Celery takes it and does nothing.",
        about="a misspelt option",
    )
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"time_limie": 300}, "no option 'time_limie'. Did you mean 'time_limit'"),
            ({"max_retry": 5}, "Did you mean 'max_retries'"),
            ({"ignore_results": True}, "Did you mean 'ignore_result'"),
        ],
    )
    def test_a_misspelt_option_is_named_with_the_nearest(self, options, words):
        with pytest.raises(TypeError, match=words):
            celery.shared_task(**options)(len_of)

    @shows(
        "serializer",
        status="refused",
        how='All but `"json"`. [What arrives](#what-arrives) keeps its type.',
    )
    @pytest.mark.parametrize(
        "options",
        [{"serializer": "pickle"}, {"chain": [1]}, {"Request": object}],
    )
    def test_what_cannot_be_is_refused(self, options):
        with pytest.raises(NotImplementedError, match="is not supported"):
            celery.shared_task(**options)(len_of)

    @shows(
        "apply_async(time_limit, soft_time_limit)",
        status="refused",
        how="Say it where the task is declared.",
    )
    def test_what_only_a_declaration_may_say_is_refused(self):
        with pytest.raises(NotImplementedError, match="where the task is declared"):
            tasks.add.apply_async((1,), time_limit=5)

    def test_a_bound_task_takes_self(self):
        with pytest.raises(TypeError, match="takes no self"):
            celery.shared_task(bind=True)(nothing)

    @shows(
        "throws",
        "track_started",
        status="ignored",
        how="A task that runs is always `STARTED`.",
    )
    @shows(
        "acks_late",
        "acks_on_failure_or_timeout",
        "reject_on_worker_lost",
        "compression",
        "send_events",
        "delivery_mode",
        "exchange",
        "routing_key",
        "retry",
        "retry_policy",
        "shadow",
        status="ignored",
        how="A line in the log says so once. A job is always acknowledged at its end.",
        about="and the like",
    )
    def test_what_has_no_effect_is_accepted(self):
        assert ran(tasks.accepted.delay()).result == "accepted"

    def test_another_name_is_told(self):
        with pytest.raises(AttributeError, match="has no attribute 'platforms'"):
            celery.platforms  # noqa: B018


def len_of(value):
    return len(value)


def nothing():
    return None
