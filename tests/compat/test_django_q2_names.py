"""What projects import from django_q.tasks, on jobs."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from dbqueue import jobs
from dbqueue.compat.django_q2 import tasks
from dbqueue.compat.django_q2.forgetting import forget_calls
from dbqueue.compat.django_q2.models import Call
from dbqueue.compat.django_q2.results import WRAPPER
from dbqueue.compat.django_q2.tasks import (
    Schedule,
    async_task,
    count_group,
    delete_group,
    fetch,
    fetch_group,
    queue_size,
    result,
    result_group,
    schedule,
)
from dbqueue.exceptions import TaskNotAllowed, WrongArguments
from dbqueue.models import FinishedJob, Job
from dbqueue.schedules.exceptions import ScheduleNameTaken
from dbqueue.schedules.times.cadence import Cron
from dbqueue.testing import run_jobs
from tests.compat import q2_shim_tasks as functions
from tests.compat.q2_shim_tasks import count_letters

pytestmark = pytest.mark.django_db
NAMES = "tests.compat.q2_shim_tasks"


@pytest.fixture(autouse=True)
def told():
    functions.told.clear()
    return functions.told


def test_a_call_is_a_job_of_its_own_function():
    id = async_task(count_letters, "Ada")

    job = Job.objects.get(pk=UUID(id))
    assert (job.task, job.args) == (f"{NAMES}.count_letters", ["Ada"])
    assert len(id) == 32
    assert not Call.objects.exists()
    assert queue_size() == 1
    assert result(id) is None
    run_jobs()
    assert result(id) == 3
    assert fetch(id).success


def test_a_rolled_back_call_leaves_nothing():
    with transaction.atomic():
        async_task(count_letters, "Ada", group="names")
        transaction.set_rollback(True)

    assert not Job.objects.exists()
    assert not Call.objects.exists()


def test_a_group_is_counted_listed_and_forgotten():
    for name in ("Ada", "Grace"):
        async_task(count_letters, name, group="names", task_name=name)
    async_task(f"{NAMES}.fail", "bad", group="names", ack_failure=True)
    assert count_group("names") == 0
    assert result_group("names") is None

    run_jobs()

    assert result_group("names") == [3, 5]
    assert (count_group("names"), count_group("names", failures=True)) == (3, 1)
    assert [task.name for task in fetch_group("names")][:2] == ["Ada", "Grace"]
    assert result("Grace") == 5
    assert fetch("Ada").group_count() == 3
    assert fetch_group("names", failures=False)[0].group_result() == [3, 5]
    assert delete_group("names", tasks=True) == 3
    assert not FinishedJob.objects.exists()
    assert not Call.objects.exists()


def test_a_hook_is_told_of_each_attempt(told):
    async_task(count_letters, "Ada", hook=functions.hook, task_name="good")
    async_task(f"{NAMES}.fail", "bad", hook=f"{NAMES}.hook", ack_failure=True)

    run_jobs()

    good, bad = told
    assert (good.name, good.success, good.result) == ("good", True, 3)
    assert (bad.success, bad.func, bad.args) == (False, f"{NAMES}.fail", ("bad",))
    assert "bad" in bad.result
    assert FinishedJob.objects.get(state="FAILED").failures == 1


def test_a_hook_that_fails_disturbs_nothing(caplog):
    id = async_task(count_letters, "Ada", hook=f"{NAMES}.broken_hook")

    run_jobs()

    assert result(id) == 3
    assert "Hook failed" in caplog.text


def test_values_that_json_lacks_arrive_as_they_left():
    id = async_task(f"{NAMES}.dated", day=Decimal("1.5"))

    run_jobs()

    assert Job.objects.count() == 0
    assert result(id) == Decimal("1.5")
    assert FinishedJob.objects.get().task == WRAPPER
    assert fetch(id).func == f"{NAMES}.dated"


def test_a_schedule_is_one_of_dbqueues():
    row = schedule(
        count_letters,
        "Ada",
        name="daily",
        schedule_type=Schedule.DAILY,
        repeats=2,
        next_run=timezone.make_aware(datetime(2027, 1, 1, 8, 30)),
    )

    assert row.cadence == Cron("30 8 * * *", timezone="Asia/Kathmandu")
    assert row.max_runs == 2
    with pytest.raises(ScheduleNameTaken), transaction.atomic():
        schedule(count_letters, "Ada", name="daily")
    at_once = schedule(count_letters, "Ada")
    assert at_once.due_at <= timezone.now()
    line = schedule(count_letters, "Ada", schedule_type="C", cron="0 8 * * *")
    assert line.next_run_at > timezone.now()


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: async_task(count_letters, "Ada", sync=True), r"run_jobs\(\)"),
        (lambda: async_task(count_letters, "Ada", chain=[1]), "Enqueue the next"),
        (lambda: async_task(count_letters, "Ada", broker=1), "cluster="),
        (lambda: tasks.Chain(), r"async_chain\(\) is not supported"),
        (lambda: tasks.Iter(count_letters), "with one group="),
        (lambda: tasks.AsyncTask(count_letters), r"Call async_task\(\)"),
    ],
)
def test_what_there_is_not_is_refused_with_a_way_out(call, why):
    with pytest.raises(NotImplementedError, match=why):
        call()


def test_a_row_can_name_only_what_a_worker_may_run():
    for path, error in (
        ("os.system", TaskNotAllowed),
        (f"{NAMES}.told", TaskNotAllowed),
    ):
        with pytest.raises(error):
            async_task(path, "true")
    with pytest.raises(WrongArguments):
        async_task(count_letters)


def test_options_of_a_call_that_mean_nothing_here_are_told_once(caplog):
    caplog.set_level("INFO")
    for _ in range(2):
        async_task(count_letters, "Ada", q_options={"save": False, "timeout": 5})

    assert caplog.text.count("timeout= has no effect") <= 1
    assert Job.objects.count() == 2


def test_names_are_forgotten_with_the_records_of_their_jobs():
    old = async_task(count_letters, "Ada", group="old")
    waiting = async_task(count_letters, "Ada", group="waiting")
    run_jobs()
    jobs.discard(old)
    Call.objects.update(made_at=timezone.now() - timedelta(days=31))
    Call.objects.filter(group="waiting").update(job_id=UUID(waiting))

    forget_calls("default")

    assert [call.group for call in Call.objects.all()] == ["waiting"]
