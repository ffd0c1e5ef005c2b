"""What waits in django-q2's own tables, moved here."""

import json
import pickle
from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

pytest.importorskip("django_q", reason="pip install django-q2")

from django_q.conf import Conf
from django_q.models import OrmQ, Task
from django_q.models import Schedule as Theirs
from django_q.tasks import async_task, schedule

from dbqueue import jobs
from dbqueue.compat.django_q2 import Broker
from dbqueue.compat.django_q2.models import Call, Package
from dbqueue.compat.django_q2.results import WRAPPER
from dbqueue.models import FinishedJob, Job
from dbqueue.schedules.models import Schedule
from dbqueue.schedules.times.cadence import At, Cron, Every
from dbqueue.testing import run_jobs

NOON = datetime(2027, 1, 31, 12, 0, tzinfo=UTC)  # a Sunday
NAMES = "tests.compat.q2_shim_tasks"


@pytest.fixture
def theirs(transactional_db, monkeypatch):
    """Let django-q2 have its own broker, as before."""
    monkeypatch.setattr(Conf, "BROKER_CLASS", None)
    monkeypatch.setattr(Conf, "ORM", "default")
    monkeypatch.setattr(Conf, "TIME_ZONE", "Europe/Berlin")


def move(*options):
    out = StringIO()
    call_command("import_django_q2", *options, "--json", stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def outcomes(items):
    return [item["outcome"] for item in items]


def test_packages_become_jobs_with_the_ids_of_their_tasks(theirs):
    id = async_task(f"{NAMES}.count_letters", "Ada")
    named = async_task(
        f"{NAMES}.count_letters", "Grace", task_name="second", group="names"
    )
    hooked = async_task(f"{NAMES}.count_letters", "x", hook=f"{NAMES}.hook")

    items = move("--queued")

    assert outcomes(items) == ["moved"] * 3
    assert Job.objects.get(pk=UUID(id)).args == ["Ada"]
    assert Job.objects.get(pk=UUID(hooked)).task == WRAPPER
    assert Call.objects.get(pk=UUID(named)).group == "names"
    assert not OrmQ.objects.exists()
    assert move() == []
    run_jobs()
    assert jobs.get(id).return_value == 3


def test_packages_of_dbqueues_own_broker_are_moved_too(theirs, monkeypatch):
    id = async_task(f"{NAMES}.count_letters", "Ada", broker=Broker())
    out = StringIO()

    call_command("import_django_q2", stdout=out)

    first, second, *_ = out.getvalue().splitlines()
    assert "1 package in dbqueue_package of database 'default', 1 of them" in first
    assert "count_letters: moved" in second
    assert Job.objects.get(pk=UUID(id)).args == ["Ada"]
    assert not Package.objects.exists()


def test_a_dry_run_changes_nothing(theirs):
    async_task(f"{NAMES}.count_letters", "Ada")
    schedule(f"{NAMES}.count_letters", "Ada", schedule_type="D")

    items = move("--dry-run")

    assert outcomes(items) == ["moved", "moved"]
    assert not Job.objects.exists()
    assert not Schedule.objects.exists()
    assert OrmQ.objects.count() == 1
    assert Theirs.objects.get().repeats == -1


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a package of another key was opened",)


def test_what_the_projects_key_has_not_signed_is_not_opened(theirs, monkeypatch):
    with monkeypatch.context() as other:
        other.setattr(Conf, "SECRET_KEY", "of somebody else")
        async_task(f"{NAMES}.count_letters", Bomb())
    OrmQ.objects.create(
        key="tests", payload=pickle.dumps(Bomb()).hex(), lock=timezone.now()
    )

    items = move("--queued")

    assert outcomes(items) == ["left", "left"]
    assert all("not opened" in item["note"] for item in items)
    assert OrmQ.objects.count() == 2


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ({"func": "math.floor", "args": (1.5,)}, "Python's own library"),
        ({"func": f"{NAMES}.missing", "args": ()}, "has no 'missing'"),
        ({"func": f"{NAMES}.count_letters", "args": (object,)}, "not JSON"),
        ({"func": f"{NAMES}.count_letters", "args": ()}, "cannot be called"),
    ],
)
def test_what_cannot_be_a_job_is_left_and_says_why(theirs, task, why):
    async_task(task["func"], *task["args"])
    async_task(f"{NAMES}.count_letters", "Ada")

    left, moved = move("--queued")

    assert (left["outcome"], moved["outcome"]) == ("left", "moved")
    assert why in left["note"]
    assert OrmQ.objects.count() == 1


def test_a_package_that_a_cluster_has_is_left(theirs):
    async_task(f"{NAMES}.count_letters", "Ada")
    OrmQ.objects.update(lock=timezone.now() + timedelta(minutes=1))

    (item,) = move("--queued")

    assert item["outcome"] == "left"
    assert "a cluster has it until" in item["note"]


@pytest.mark.parametrize(
    ("kind", "more", "cadence"),
    [
        ("O", {}, At(NOON)),
        (
            "I",
            {"minutes": 7},
            Every(420, offset=timedelta(seconds=NOON.timestamp() % 420)),
        ),
        ("H", {}, Every(3600)),
        ("D", {}, Cron("0 13 * * *", timezone="Europe/Berlin")),
        ("W", {}, Cron("0 13 * * 7", timezone="Europe/Berlin")),
        ("M", {}, Cron("0 13 L * *", timezone="Europe/Berlin")),
        ("BM", {}, Cron("0 13 L 1,3,5,7,9,11 *", timezone="Europe/Berlin")),
        ("Q", {}, Cron("0 13 L 1,4,7,10 *", timezone="Europe/Berlin")),
        ("Y", {}, Cron("0 13 31 1 *", timezone="Europe/Berlin")),
    ],
)
def test_each_type_of_schedule_goes_on_at_its_next_run(theirs, kind, more, cadence):
    schedule(f"{NAMES}.count_letters", "Ada", schedule_type=kind, next_run=NOON, **more)

    (item,) = move("--schedules")

    row = Schedule.objects.get()
    assert item["outcome"] == "moved"
    assert row.cadence == cadence
    assert row.next_run_at == NOON
    assert row.args == ["Ada"]
    assert Theirs.objects.get().repeats == 0
    assert outcomes(move()) == ["there"]


def test_two_weeks_and_lines_of_a_crontab_are_kept(theirs):
    Theirs.objects.create(
        func=f"{NAMES}.count_letters",
        args="'Ada'",
        schedule_type="BW",
        next_run=NOON,
    )
    # As croniter has it, whose seconds come last; it need not be installed.
    Theirs.objects.bulk_create(
        [
            Theirs(
                name="line",
                func=f"{NAMES}.count_letters",
                kwargs="name='Ada'",
                schedule_type="C",
                cron="0 22 * * 1-5 30",
                next_run=NOON,
            )
        ]
    )

    first, _ = move("--schedules")

    weeks, line = Schedule.objects.order_by("created_at")
    assert weeks.next_runs(2) == [NOON, NOON + timedelta(weeks=2)]
    assert "summer time" in first["note"]
    assert line.cadence == Cron("30 0 22 * * 1-5", timezone="Europe/Berlin")
    assert line.kwargs == {"name": "Ada"}


def test_repeats_hooks_and_dates_of_schedules_are_kept(theirs):
    schedule(
        f"{NAMES}.count_letters",
        "Ada",
        name="counted",
        schedule_type="D",
        repeats=3,
        next_run=NOON,
    )
    schedule(
        f"{NAMES}.dated",
        hook=f"{NAMES}.hook",
        intended_date_kwarg="day",
        schedule_type="H",
        next_run=timezone.now() - timedelta(minutes=5),
    )

    move("--schedules")

    counted = Schedule.objects.get(name="counted")
    hooked = Schedule.objects.exclude(pk=counted.pk).get()
    assert counted.max_runs == 3
    assert (counted.overlap, counted.catch_up) == ("allow", "all")
    assert hooked.task == WRAPPER
    assert hooked.is_late
    result = hooked.run_now()
    run_jobs()
    assert jobs.get(result.id).return_value.startswith("20")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"repeats": 0}, "switched off"),
        ({"next_run": None}, "no next run"),
        ({"args": "1 +"}, "arguments cannot be read"),
        ({"kwargs": "x=open('f')"}, "keyword arguments cannot be read"),
        ({"func": "math.floor"}, "Python's own library"),
        ({"schedule_type": "C", "cron": "a b"}, "five fields"),
        ({"cluster": "of nobody"}, "of nobody"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_left_and_says_why(theirs, values, why):
    row = {"func": f"{NAMES}.count_letters", "args": "'Ada'", "schedule_type": "H"}
    Theirs.objects.bulk_create([Theirs(next_run=NOON, **row)])
    Theirs.objects.update(**values)
    own = {"BACKEND": "dbqueue.backend.DatabaseBackend", "QUEUES": ["default"]}

    with override_settings(TASKS={"default": own}):
        (item,) = move("--schedules")

    assert item["outcome"] == "left"
    assert why in item["note"]
    assert not Schedule.objects.exists()


def test_what_has_ended_is_copied_once(theirs):
    for id, success, value in (("a" * 32, True, [1]), ("b" * 32, False, "x : trace")):
        Task.objects.create(
            id=id,
            name=f"task {id[0]}",
            func=f"{NAMES}.count_letters",
            args=("Ada", object),
            started=NOON,
            stopped=NOON,
            result=value,
            group="ended",
            success=success,
            attempt_count=2,
        )

    first, second = move("--history"), move("--history")

    assert outcomes(first) == ["moved"] * 2
    assert outcomes(second) == ["there"] * 2
    good, bad = FinishedJob.objects.order_by("pk")
    assert (good.state, good.result) == ("SUCCESSFUL", [1])
    assert good.args == ["Ada", "<class 'object'>"]
    assert (bad.state, bad.attempt_log[0]["message"]) == ("FAILED", "x")


def test_five_hundred_packages_and_fifty_schedules_are_moved_once(theirs):
    for n in range(500):
        async_task(f"{NAMES}.count_letters", "x" * n)
    for n in range(50):
        schedule(
            f"{NAMES}.count_letters",
            "x",
            name=f"schedule {n}",
            schedule_type="H",
            next_run=timezone.now() - timedelta(minutes=1),
        )

    first, again = move(), move()

    assert outcomes(first).count("moved") == 550
    assert set(outcomes(again)) == {"there"}
    assert (Job.objects.count(), Schedule.objects.count()) == (500, 50)
    run_jobs()
    assert FinishedJob.objects.filter(state="SUCCESSFUL").count() == 500
    before = Schedule.objects.values_list("pk", "next_run_at", "runs")
    assert set(outcomes(move())) == {"there"}
    assert list(Schedule.objects.values_list("pk", "next_run_at", "runs")) == list(
        before
    )


def test_without_the_app_the_command_says_so(theirs, settings):
    settings.INSTALLED_APPS = [a for a in settings.INSTALLED_APPS if a != "django_q"]

    with pytest.raises(CommandError, match="not in INSTALLED_APPS"):
        call_command("import_django_q2")
