"""Schedules of code and settings, written to the database beside what people change."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db.models import F
from django.test import override_settings
from django.utils import timezone

from dbqueue import At, Cron, Every, schedule, task
from dbqueue.exceptions import InvalidSchedule, ScheduleNameTaken, WrongArguments
from dbqueue.models import Job
from dbqueue.schedules.declared import declarations, sync
from dbqueue.schedules.firing import looking
from dbqueue.schedules.models import Schedule
from tests import tasks
from tests.schedules.tasks import pair

HOUR, DAY = Every(3600), Every(86_400)
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    """Return what is declared in this test alone."""
    made = {}
    monkeypatch.setattr(declarations, "declared", made)
    return made


def write(**how):
    return sync.sync("default", **how)


def test_what_is_declared_is_written_and_planned():
    schedule(
        pair,
        Cron("*/15 8-18 * * mon-fri", timezone="Europe/Berlin"),
        args=["a"],
        kwargs={"b": 2},
        name="work",
        queue_name="mail",
        priority=5,
        overlap="allow",
        jitter=timedelta(minutes=1),
    )

    report = write()

    row = Schedule.objects.get()
    assert report.created == [row.name] == ["work"]
    assert (row.origin, row.task) == ("code", "tests.schedules.tasks.pair")
    assert (row.args, row.kwargs, row.jitter) == (["a"], {"b": 2}, 60.0)
    assert (row.queue_name, row.priority, row.overlap) == ("mail", 5, "allow")
    assert row.cadence == Cron("*/15 8-18 * * mon-fri", timezone="Europe/Berlin")
    assert row.next_run_at > timezone.now()
    assert row.differs == []


def test_a_task_may_have_several_schedules():
    for name, minutes in (("often", 5), ("seldom", 600)):
        schedule(tasks.noop, Every(timedelta(minutes=minutes)), name=name)
    schedule("tests.tasks.noop", At(datetime(2100, 1, 1, tzinfo=UTC)), name="once")

    write()

    assert Schedule.objects.filter(task="tests.tasks.noop").count() == 3


def test_the_option_of_the_decorator_declares_one(declared):
    task(schedule=HOUR)(tasks.noop.func)

    assert declared["tests.tasks.noop"].cadence == HOUR


def test_entries_of_the_settings_are_declared():
    entries = {
        "summary": {
            "task": "tests.schedules.tasks.pair",
            "args": [1, 2],
            "cron": "0 8 * * mon",
            "timezone": "Europe/Berlin",
            "queue_name": "mail",
        },
        "tidy": {"task": "tests.tasks.noop", "every": 3600, "offset": 60},
        "once": {"task": "tests.tasks.noop", "at": ["2100-01-01T00:00:00+00:00"]},
    }
    with override_settings(DBQUEUE={"SCHEDULES": {"ENTRIES": entries}}):
        report = write()

    assert report.created == ["once", "summary", "tidy"]
    row = Schedule.objects.get(name="summary")
    assert row.cadence == Cron("0 8 * * mon", timezone="Europe/Berlin")
    assert (row.origin, row.queue_name, row.args) == ("settings", "mail", [1, 2])
    assert Schedule.objects.get(name="tidy").cadence == Every(3600, offset=60)


def test_writing_it_again_changes_nothing():
    schedule(tasks.noop, HOUR)
    write()
    before = Schedule.objects.values().get()

    report = write()

    after = Schedule.objects.values().get()
    assert report == sync.Report()
    assert before | {"declared_at": after["declared_at"]} == after


def test_what_an_operator_changed_outlives_what_is_declared_anew(declared):
    schedule(tasks.noop, HOUR, queue_name="mail")
    write()
    row = Schedule.objects.get()
    row.enabled, row.cadence = False, DAY
    row.save()

    declared.clear()
    schedule(tasks.noop, Every(1800), queue_name="post")
    write()

    row = Schedule.objects.get()
    assert (row.enabled, row.cadence, row.queue_name) == (False, DAY, "post")
    assert row.differs == ["cadence", "enabled"]
    sync.reset(row)
    row = Schedule.objects.get()
    assert (row.enabled, row.cadence, row.differs) == (True, Every(1800), [])
    assert row.next_run_at > timezone.now()


def test_other_times_in_the_code_plan_the_next_run(declared):
    schedule(tasks.noop, At(datetime(2100, 1, 1, tzinfo=UTC)))
    write()

    declared.clear()
    schedule(tasks.noop, HOUR)
    write()

    assert Schedule.objects.get().next_run_at < timezone.now() + timedelta(hours=1)


def test_a_renamed_task_keeps_its_schedule_by_the_name(declared):
    schedule("tests.tasks.noop", HOUR, name="hourly")
    write()
    Schedule.objects.update(runs=5)

    declared.clear()
    schedule("tests.tasks.add", HOUR, args=[1, 2], name="hourly")
    write()

    row = Schedule.objects.get()
    assert (row.task, row.args, row.runs) == ("tests.tasks.add", [1, 2], 5)


def test_what_nobody_declares_for_an_hour_is_retired_and_may_come_back(declared):
    kept = schedule(tasks.noop, HOUR, name="kept")
    gone = schedule(tasks.noop, HOUR, name="gone")
    write()
    declared.pop("gone")

    write()
    sync.retire_forgotten("default")
    assert not Schedule.objects.filter(retired_at__isnull=False).exists()

    Schedule.objects.update(declared_at=F("declared_at") - timedelta(minutes=61))
    sync.refresh("default")
    sync.retire_forgotten("default")

    row = Schedule.objects.get(name="gone")
    assert row.retired_at is not None
    assert row.due_at is None
    assert Schedule.objects.get(name="kept").retired_at is None
    declared |= {"gone": gone, "kept": kept}
    assert write().revived == ["gone"]
    row.refresh_from_db()
    assert (row.retired_at, row.due_at) == (None, row.next_run_at)


def test_of_old_and_new_code_the_last_word_has_the_one_that_still_runs(declared):
    new = schedule(tasks.noop, DAY, name="backup")
    write()
    declared.clear()
    schedule(tasks.noop, HOUR, name="backup")  # an old worker that was started again
    write()
    declared.clear()
    declared["backup"] = new
    rows = Schedule.objects.all()

    for minutes in (6, 6):  # the old one is alive
        rows.update(declared_at=F("declared_at") - timedelta(minutes=minutes))
        sync.refresh("default")
    assert rows.get().cadence == HOUR
    rows.update(declared_at=F("declared_at") - timedelta(minutes=6))
    sync.refresh("default")

    assert rows.get().cadence == DAY
    assert rows.get().declared_at > timezone.now() - timedelta(minutes=1)


def test_a_service_that_comes_back_later_has_missed_what_the_other_saw(declared):
    schedule(tasks.noop, HOUR, catch_up="all")
    write()
    tick = HOUR.after(timezone.now() - timedelta(hours=3))
    Schedule.objects.update(
        next_run_at=tick, due_at=tick, declared_at=F("declared_at") - timedelta(days=1)
    )
    sync.retire_forgotten("default")  # the other one, which began first

    write()
    looking.fire_due("default")

    assert Job.objects.count() == 3


def test_sync_retires_at_once_what_these_settings_declared(declared):
    schedule(tasks.noop, HOUR, name="mine")
    schedule(tasks.noop, HOUR, name="theirs")
    write()
    Schedule.objects.filter(name="theirs").update(declared_by="other.settings")
    Schedule.objects.create(name="by hand", task="tests.tasks.noop", cadence=HOUR)
    declared.clear()

    assert write(at_once=True).retired == ["mine"]


def test_two_services_do_not_take_a_name_from_each_other(declared):
    schedule(tasks.noop, HOUR, name="backup")
    write()
    Schedule.objects.update(declared_by="other.settings")
    declared.clear()
    schedule(tasks.noop, DAY, name="backup")

    report = write()

    assert "other.settings" in str(report.wrong[0])
    assert Schedule.objects.get().cadence == HOUR


def test_a_name_that_was_given_in_the_database_is_left_there():
    Schedule.objects.create(name="backup", task="tests.tasks.noop", cadence=DAY)
    schedule(tasks.noop, HOUR, name="backup")
    schedule(tasks.noop, HOUR, name="other")

    report = write()

    assert "'backup'" in str(report.wrong[0])
    assert report.created == ["other"]
    assert Schedule.objects.get(name="backup").cadence == DAY


def test_one_wrong_declaration_keeps_no_other_from_being_written(caplog):
    schedule("tests.tasks.gone", HOUR, name="gone")
    schedule("os.system", HOUR, name="system")
    schedule("tests.schedules.tasks.pair", HOUR, args=[1, 2, 3], name="arguments")
    schedule("tests.tasks.noop", HOUR, args=[{1, 2}], name="a set")
    schedule("tests.tasks.noop", HOUR, name="right")

    report = write()

    assert report.created == ["right"]
    assert len(report.wrong) == 4
    assert all(isinstance(error, InvalidSchedule) for error in report.wrong)
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 4


@pytest.mark.parametrize(
    ("declare", "error", "words"),
    [
        (lambda: schedule(42, HOUR), InvalidSchedule, "42 is neither a task"),
        (lambda: schedule("noop", HOUR), InvalidSchedule, "dotted path"),
        (lambda: schedule(tasks.noop, 60), InvalidSchedule, "must be a Cron"),
        (lambda: schedule(pair, HOUR), WrongArguments, "cannot be called"),
        (lambda: schedule(tasks.noop, HOUR, name=""), InvalidSchedule, "1 to 255"),
        (lambda: schedule(tasks.noop, HOUR, name="a\n"), InvalidSchedule, "printable"),
        (lambda: schedule(tasks.noop, HOUR, name=5), InvalidSchedule, "name=5"),
        (lambda: schedule(tasks.noop, HOUR, queue="x"), InvalidSchedule, "queue_name"),
        (lambda: schedule(tasks.noop, HOUR, queue_name="*"), InvalidSchedule, "\\*"),
        (lambda: schedule(tasks.noop, HOUR, priority=500), InvalidSchedule, "500"),
        (lambda: schedule(tasks.noop, HOUR, backend="x"), InvalidSchedule, "'x'"),
        (lambda: schedule(tasks.noop, HOUR, catch_up="x"), InvalidSchedule, "last"),
        (lambda: schedule(tasks.noop, HOUR, overlap="x"), InvalidSchedule, "skip"),
        (lambda: schedule(tasks.noop, HOUR, jitter=-1), InvalidSchedule, "jitter=-1"),
        (lambda: schedule(tasks.noop, HOUR, max_runs=0), InvalidSchedule, "from 1"),
        (lambda: schedule(tasks.noop, HOUR, max_runs=1.5), InvalidSchedule, "1.5"),
        (lambda: schedule(tasks.noop, HOUR, expires=0), InvalidSchedule, "above 0"),
        (lambda: schedule(tasks.noop, HOUR, enabled=1), InvalidSchedule, "True or"),
        (
            lambda: schedule(tasks.noop, HOUR, starts_at="soon"),
            InvalidSchedule,
            "starts_at='soon'",
        ),
        (
            lambda: schedule(
                tasks.noop, HOUR, starts_at="2030-01-01", ends_at="2029-01-01"
            ),
            InvalidSchedule,
            "must be after",
        ),
        (lambda: task(schedule=5)(tasks.noop.func), InvalidSchedule, "must be a Cron"),
    ],
)
def test_what_cannot_be_a_schedule_is_refused_where_it_is_declared(
    declare, error, words
):
    with pytest.raises(error, match=words):
        declare()


def test_a_name_may_be_declared_once():
    schedule(tasks.noop, HOUR, name="backup")
    schedule(tasks.noop, HOUR, name="backup")  # the module was imported twice

    with pytest.raises(ScheduleNameTaken, match=r"'backup'.*name"):
        schedule(tasks.noop, DAY, name="backup")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (5, "must be a dict"),
        ({}, "dotted path"),
        ({"task": "tests.tasks.noop"}, "does not say when"),
        ({"task": "tests.tasks.noop", "cron": "61 * * * *"}, "Bad minute"),
        ({"task": "tests.tasks.noop", "every": 60, "cron": "@daily"}, "say when"),
        ({"task": "tests.tasks.noop", "every": 60, "timezone": "UTC"}, "say when"),
        ({"task": "tests.tasks.noop", "evry": 60}, "Did you mean 'every'"),
        ({"task": "tests.tasks.noop", "every": 60, "args": "ab"}, "a list"),
    ],
)
def test_a_wrong_entry_of_the_settings_is_told_of_with_its_place(entry, words):
    entries = {"wrong": entry, "right": {"task": "tests.tasks.noop", "every": 60}}
    with override_settings(DBQUEUE={"SCHEDULES": {"ENTRIES": entries}}):
        report = write()

    assert report.created == ["right"]
    (error,) = report.wrong
    assert words in str(error)
    assert "DBQUEUE['SCHEDULES']['ENTRIES']['wrong']" in str(error)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"task": "nowhere.tasks.work"}, "cannot be imported"),
        ({"task": "os.system"}, "os.system"),
        ({"task": "tests.schedules.tasks.pair"}, "cannot be called"),
        ({"cadence": {"cron": "0 0 31 4 *"}}, "day-of-month"),
        ({"cadence": "0 8 * * *"}, "does not say when"),
        ({"args": "text"}, "a list"),
        ({"queue_name": "x" * 101}, "1 to 100"),
        ({"overlap": "never"}, "one of allow"),
    ],
)
def test_a_row_that_cannot_be_is_not_saved(values, words):
    right = {"name": "x", "task": "tests.tasks.noop", "cadence": HOUR}

    with pytest.raises(InvalidSchedule, match=words):
        Schedule.objects.create(**right | values)

    assert not Schedule.objects.exists()


def test_the_name_of_a_row_may_not_be_taken():
    for _ in range(1):
        Schedule.objects.create(name="x", task="tests.tasks.noop", cadence=HOUR)

    with pytest.raises(ScheduleNameTaken, match="'x'"):
        Schedule.objects.create(name="x", task="tests.tasks.noop", cadence=HOUR)


def test_a_row_whose_task_is_gone_can_still_be_disabled():
    row = Schedule.objects.create(name="x", task="tests.tasks.noop", cadence=HOUR)
    Schedule.objects.filter(pk=row.pk).update(task="tests.tasks.gone")

    row = Schedule.objects.get()
    row.enabled = False
    row.save()

    assert not Schedule.objects.get().enabled


def test_a_schedule_is_in_the_database_of_its_jobs(settings):
    entry = settings.TASKS["default"]
    elsewhere = entry | {"OPTIONS": {"database": "other"}}
    settings.TASKS = {"default": entry, "elsewhere": elsewhere}
    right = {"name": "x", "task": "tests.tasks.noop", "cadence": HOUR}

    with pytest.raises(InvalidSchedule, match=r"objects\.using\('other'\)"):
        Schedule.objects.create(**right, backend="elsewhere")


def test_schedules_are_dumped_and_loaded(tmp_path):
    Schedule.objects.create(name="x", task="tests.tasks.noop", cadence=DAY)
    before = Schedule.objects.values().get()
    file = tmp_path / "schedules.json"
    call_command("dumpdata", "dbqueue.Schedule", output=str(file), verbosity=0)
    Schedule.objects.all().delete()

    call_command("loaddata", str(file), verbosity=0)

    after = Schedule.objects.values().get()
    assert after["created_at"].replace(microsecond=0) == before["created_at"].replace(
        microsecond=0
    )
    assert {**after, "created_at": 0, "due_at": 0, "next_run_at": 0} == {
        **before,
        "created_at": 0,
        "due_at": 0,
        "next_run_at": 0,
    }


def test_a_cadence_may_be_written_as_the_settings_have_it():
    Schedule.objects.create(
        name="x", task="tests.tasks.noop", cadence={"cron": "@daily", "timezone": "UTC"}
    )

    assert Schedule.objects.get().cadence == Cron("@daily", timezone="UTC")
    assert Schedule.objects.get().words() == "At 00:00 every day"
