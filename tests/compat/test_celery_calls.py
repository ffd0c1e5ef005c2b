"""What travels with a call of Celery's: links, headers, ids, classes, JSON."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.test import override_settings
from django.utils.translation import gettext_lazy

from dbqueue.compat import celery
from dbqueue.compat.celery import current_task
from dbqueue.compat.celery.app import base, making
from dbqueue.compat.celery.exceptions import NotRegistered
from dbqueue.compat.celery.result import AsyncResult, EagerResult
from dbqueue.models import FinishedJob, Job
from dbqueue.testing import run_jobs
from tests.compat import celery_tasks as tasks
from tests.compat.tables import shows
from tests.compat.test_celery import EAGER, ran
from tests.support.processes import once

pytestmark = [pytest.mark.django_db, once]


@pytest.fixture(autouse=True)
def _forget():
    tasks.heard.clear()


class TestALink:
    @shows(
        "apply_async(link)",
        status="differs",
        how="The next task is enqueued by the commit that ends this one, once.",
    )
    def test_is_called_with_what_the_task_returned(self):
        tasks.add.apply_async((1,), {"b": 2}, link=tasks.collect.s("more"))
        run_jobs()

        assert tasks.heard == [["collect", 3, "more"]]

    def test_that_is_immutable_gets_its_own_arguments_alone(self):
        links = [tasks.collect.si("mine"), tasks.collect]
        tasks.add.apply_async((1,), link=links)
        run_jobs()

        assert tasks.heard == [["collect", "mine"], ["collect", 2]]

    def test_is_enqueued_by_the_commit_that_ends_the_task(self, worker):
        tasks.add.apply_async((1,), link=tasks.collect.s())
        (job,) = worker.claim()
        Job.objects.filter(pk=job.id).update(attempt=job.attempt + 1)  # taken over

        worker.run(job)

        assert Job.objects.filter(task__endswith="collect").count() == 0

    @shows(
        ".s()",
        ".si()",
        "signature",
        how="With `link`, `link_error`, `clone`, `set`, `delay`, `apply_async`.",
    )
    def test_waits_and_keeps_types(self):
        day = date(2026, 1, 2)
        sig = tasks.collect.s(day).set(countdown=60, queue="slow", priority=3)
        tasks.add.apply_async((1,), link=sig)
        run_jobs()

        job = Job.objects.get()
        assert (job.queue_name, job.priority, job.state) == ("slow", 3, "SCHEDULED")
        run_jobs(scheduled=True)
        assert tasks.heard == [["collect", 2, day]]

    def test_may_be_of_a_signature_and_run_eagerly(self):
        sig = tasks.add.s(1)
        sig.link(tasks.collect.s())
        with EAGER:
            assert sig.delay().get() == 2
        assert tasks.heard == [["collect", 2]]

    def test_that_is_none_is_refused(self):
        with pytest.raises(TypeError, match="neither a task nor a signature"):
            tasks.add.apply_async((1,), link=print)


class TestALinkForErrors:
    @shows(
        "apply_async(link_error)",
        how="A task of one argument gets the id; one of several is called "
        "in the worker with the request, the exception and the "
        "traceback.",
    )
    def test_of_one_argument_is_enqueued_with_the_id(self):
        id = tasks.fail.apply_async(("no luck",), link_error=tasks.told_of_id.s()).id
        run_jobs()

        assert tasks.heard == [["told of id", id]]

    def test_of_three_arguments_is_called_with_the_exception(self):
        found = tasks.fail.apply_async(("bad",), link_error=tasks.told_of_error.s())
        run_jobs()

        assert tasks.heard == [["told of error", found.id, "bad"]]

    def test_is_not_called_for_a_retry(self):
        tasks.stubborn.apply_async((1,), link_error=tasks.told_of_id.s())
        run_jobs(scheduled=True)

        assert tasks.heard == []


class TestTheRequest:
    @shows(
        "apply_async(headers)",
        how="In `self.request.headers`, and `self.request.get(name)`.",
    )
    @shows(
        "self.request",
        "current_task",
        status="differs",
        how="`id`, `args`, `kwargs`, `retries`, `headers`, `root_id`, "
        "`parent_id`, `eta`, `called_directly`, `is_eager`, "
        "`delivery_info`, `hostname` (the id of the worker); `chain`, `chord` and "
        "`group` are `None`; and `context`, the "
        "[JobContext](../reference/api.md#jobcontext).",
    )
    def test_has_headers_and_who_called(self):
        given = {"trace": "t1", "at": date(2026, 1, 2)}
        found = ran(tasks.tells.apply_async(headers=given))

        assert found.result[:5] == [found.id, given, "t1", None, tasks.tells.name]
        assert not current_task
        request = tasks.tells.request
        assert (request.chain, request.get("group"), request.get("get")) == (None,) * 3

    def test_knows_the_task_that_enqueued_it(self):
        with patch.object(tasks.outer, "run", lambda a: tasks.tells.delay().id):
            outer = ran(tasks.outer.delay(1))

        inner = AsyncResult(outer.result)
        assert inner.result[3] == outer.id

    @shows(
        "apply_async(task_id)",
        status="differs",
        how="Any text. A second call with an id enqueues nothing.",
    )
    def test_has_an_id_of_any_text(self):
        found = ran(tasks.tells.apply_async(task_id="order-17"))

        assert (found.id, found.state, found.result[0]) == (
            *("order-17", "SUCCESS", "order-17"),
        )

    @shows(
        "ignore_result",
        "CELERY_TASK_IGNORE_RESULT",
        status="differs",
        how="The state is kept, what the task returns is not.",
    )
    def test_ignores_the_result_of_one_call(self):
        assert ran(tasks.add.apply_async((1,), ignore_result=True)).result is None
        with override_settings(CELERY_TASK_IGNORE_RESULT=True):
            assert ran(tasks.add.delay(1)).result is None


class TestAClass:
    def test_with_init_call_and_apply_async_of_its_own(self):
        found = ran(tasks.counted.delay(5))

        assert found.result == [5, 1, False]
        assert tasks.counted(6) == [6, 2, True]
        assert tasks.heard == ["apply_async"]

    def test_with_a_run_of_its_own_is_registered(self):
        assert ran(tasks.adder.delay(1, b=2)).result == 3
        assert ran(tasks.app.send_task("adder", (2, 3))).result == 5
        assert tasks.app.tasks["adder"] is tasks.adder

    def test_of_the_app_is_that_of_its_tasks(self):
        app = celery.Celery("another", task_cls=tasks.Base)
        assert app.task(_nothing).max_retries == 1


class TestAState:
    @shows(
        "self.update_state",
        status="differs",
        how="Of the task itself. Stored within half a second. `current`, "
        "`total` and `status` of the meta are the progress, which "
        "pages show.",
    )
    def test_of_ones_own_and_its_meta_are_shown(self, worker):
        result = tasks.details.delay()
        (job,) = worker.claim()
        worker.run(job)

        found = AsyncResult(result.id)
        assert found.state == "MIXING"
        assert found.info == {"at": datetime(2026, 1, 2, tzinfo=UTC)}

    def test_that_is_said_before_ignore_is_that_of_the_end(self):
        failed = ran(tasks.gives_up.delay("FAILURE", "no paper"))
        done = ran(tasks.gives_up.delay("SUCCESS", {"pages": 3}))

        assert (failed.state, str(failed.result)) == ("FAILURE", "no paper")
        assert (done.state, done.result) == ("SUCCESS", {"pages": 3})

    def test_of_another_task_is_refused(self):
        with pytest.raises(NotImplementedError, match="its own state only"):
            tasks.details.update_state(task_id="another", state="X")

    def test_an_eager_result_has_all_that_another_has(self):
        made, other = tasks.add.apply([1]), AsyncResult(str(uuid4()))

        assert isinstance(made, EagerResult)
        for name in dir(other):
            assert hasattr(made, name)
        assert (made.state, made.args, made.name) == ("SUCCESS", (1,), tasks.add.name)
        failed = tasks.fail.apply(["no luck"])
        assert "ValueError: no luck" in failed.traceback


class TestJson:
    @pytest.mark.parametrize(
        "value",
        [
            *(datetime(2026, 1, 2, 3, tzinfo=UTC), date(2026, 1, 2), time(3, 4)),
            *(Decimal("1.10"), uuid4(), b"\x00\xff", b"text", "", None, True, 1.5),
            *([1, [2, b"3"]], {"a": {"b": Decimal("2")}}, 2**60),
        ],
    )
    def test_a_value_arrives_as_it_left_and_so_does_the_result(self, value):
        with patch.object(tasks.add, "run", lambda a, b=1: [a, a == value]):
            found = ran(tasks.add.delay(value))

        assert found.result == [value, True]
        assert type(found.result[0]) is type(value)

    @pytest.mark.parametrize(
        ("value", "arrives"),
        [
            ((1, 2), [1, 2]),
            ({2: "a", None: "b", True: "c"}, {"2": "a", "null": "b", "true": "c"}),
            (gettext_lazy("Monday"), "Monday"),
        ],
    )
    def test_what_json_has_not_becomes_what_celery_makes_of_it(self, value, arrives):
        with patch.object(tasks.add, "run", lambda a, b=1: a):
            assert ran(tasks.add.delay(value)).result == arrives

    def test_what_neither_has_is_refused(self):
        with pytest.raises(TypeError, match="'set', which is not JSON"):
            tasks.add.delay({1, 2})
        with EAGER, pytest.raises(TypeError, match="'set', which is not JSON"):
            tasks.add.delay({1, 2})


@shows(
    "rate_limit",
    "control.rate_limit()",
    status="differs",
    how="It is one over all workers, not one in each. A [limit](limit.md).",
)
def test_a_rate_limit_is_one_over_all_workers():
    for _ in range(3):
        tasks.seldom.delay()

    run_jobs()

    # One may start every half an hour.
    assert FinishedJob.objects.count() == 1
    assert Job.objects.filter(state="BLOCKED").count() == 2


def test_a_name_that_there_is_not_is_told_with_the_nearest():
    with pytest.raises(NotRegistered, match="Did you mean 'adder'"):
        tasks.app.send_task("addder")


def _nothing():
    return None


@shows(
    "time_limit",
    "soft_time_limit",
    status="differs",
    how="The lower one counts. Code sees `SoftTimeLimitExceeded`; if "
    "it has not stopped a second later, its process is replaced.",
)
def test_time_limits_are_the_timeout_of_the_job():
    assert tasks.limited.job.timeout == 5
    with override_settings(CELERY_TASK_TIME_LIMIT=9):
        assert making._of_declaration(tasks.add)["timeout"] == 9


def of_base(): ...


def test_tasks_have_the_class_that_the_app_names(monkeypatch):
    monkeypatch.setattr(base, "apps", [base.Celery(task_cls=tasks.Base)])

    assert isinstance(celery.shared_task(of_base), tasks.Base)


def test_a_task_in_a_module_of_another_name_is_found_by_its_name(monkeypatch):
    monkeypatch.setattr(base, "discovered", [(["tests.compat"], "celery_elsewhere")])

    with pytest.raises(NotRegistered):
        making.find("not.elsewhere")
    assert making.find("elsewhere").name == "elsewhere"
