"""What a keeper fires when it is due, and what it leaves."""

import time
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from dbqueue import At, Cron, Every
from dbqueue.models import FinishedJob, Job
from dbqueue.schedules import duties
from dbqueue.schedules.firing import changes, looking
from dbqueue.schedules.models import Schedule
from dbqueue.signals import job_enqueued
from dbqueue.testing import run_jobs
from tests import tasks
from tests.support.processes import scaled
from tests.support.workers import HandWorker, together

# One of its ticks was ten minutes ago.
HOUR = Every(3600, offset=int(timezone.now().timestamp() - 600) % 3600)
NEW_YEAR = datetime(2100, 1, 1, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clean():
    changes.unknown.clear()
    changes.unknown_kinds.clear()
    looking._prepared.clear()
    looking._overtaken.clear()


@pytest.fixture
def early(monkeypatch):
    """Have what is due in the next minute prepared."""
    monkeypatch.setattr(looking, "AHEAD", 60.0)


def make(name="hourly", task="tests.tasks.noop", cadence=HOUR, **values):
    return Schedule.objects.create(name=name, task=task, cadence=cadence, **values)


def miss(schedule, **ago):
    """Let its next tick be the first that long ago, as if nobody had been there."""
    tick = schedule.cadence.after(timezone.now() - timedelta(**ago))
    rows = Schedule.objects.filter(pk=schedule.pk)
    rows.update(next_run_at=tick, due_at=tick)
    return tick


def come(schedule, ago=5):
    """Let a tick of its own come; the next one of its times is not yet there."""
    moment = timezone.now() - timedelta(seconds=ago)
    Schedule.objects.filter(pk=schedule.pk).update(next_run_at=moment, due_at=moment)
    return moment


def fire():
    return looking.fire_due("default")


def ticks():
    """Return the moments of the jobs that were enqueued, in order."""
    rows = [*Job.objects.all(), *FinishedJob.objects.all()]
    return sorted(
        datetime.fromisoformat(row.context["dbqueue.schedule"]["scheduled_for"])
        for row in rows
    )


def test_a_tick_is_one_job_and_the_next_is_planned():
    schedule = make(queue_name="mail", priority=7)
    tick = miss(schedule, minutes=50)

    seconds = fire()

    job = Job.objects.get()
    assert (job.task, job.queue_name, job.priority) == ("tests.tasks.noop", "mail", 7)
    assert (job.state, job.run_after, job.once) == ("READY", tick, True)
    schedule.refresh_from_db()
    assert schedule.next_run_at == tick + timedelta(hours=1)
    assert (schedule.last_run_at, schedule.last_job_id) == (tick, job.pk)
    assert schedule.runs == 1
    due = (schedule.next_run_at - timezone.now()).total_seconds()
    assert seconds == pytest.approx(due, abs=5)


def test_nothing_is_fired_before_its_time():
    make()

    fire()

    assert not Job.objects.exists()


def test_the_job_runs_and_knows_its_tick():
    schedule = make(task="tests.schedules.tasks.tick", cadence=HOUR)
    first = come(schedule)
    fire()
    run_jobs()
    second = come(schedule)
    fire()
    run_jobs()

    told = [job.result for job in FinishedJob.objects.order_by("finished_at")]

    assert told[0] == {
        "name": "hourly",
        "scheduled_for": first.isoformat(),
        "previous": None,
        "manual": False,
        "bound": {},
    }
    assert told[1]["scheduled_for"] == second.isoformat()
    assert told[1]["previous"] == first.isoformat()


def test_a_job_that_a_tick_enqueues_is_none_of_the_schedule():
    schedule = make(task="tests.schedules.tasks.tick_again")
    miss(schedule, minutes=50)
    fire()

    run_jobs()

    inner = FinishedJob.objects.get(task="tests.schedules.tasks.tick")
    assert inner.result is None


def test_a_tick_that_was_fired_before_is_not_fired_again():
    schedule = make()
    miss(schedule, minutes=50)
    fire()
    run_jobs()

    miss(schedule, minutes=50)  # as after a restore of its row
    fire()

    assert FinishedJob.objects.count() == 1
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_keepers_that_fire_at_once_make_one_job_of_each_tick():
    for number in range(30):
        miss(make(f"s{number}", catch_up="all"), hours=3)
    barrier = Barrier(3)

    def keep():
        barrier.wait()
        for _ in range(5):
            fire()

    together(keep, keep, keep)

    assert Job.objects.count() == 90
    assert set(Schedule.objects.values_list("runs", flat=True)) == {3}


@pytest.mark.parametrize(("catch_up", "jobs"), [("none", 0), ("last", 1), ("all", 72)])
def test_after_three_days_down_it_is_caught_up_as_the_schedule_says(catch_up, jobs):
    schedule = make(catch_up=catch_up)
    miss(schedule, days=3)

    fire()

    assert Job.objects.count() == jobs
    schedule.refresh_from_db()
    assert schedule.next_run_at > timezone.now()
    if jobs:
        assert schedule.last_run_at == ticks()[-1]
        assert schedule.next_run_at - ticks()[-1] == timedelta(hours=1)


def test_a_tick_that_is_hardly_late_is_no_missed_one():
    schedule = make(catch_up="none", cadence=Every(timedelta(days=1)))
    moment = come(schedule, ago=30)

    fire()

    assert ticks() == [moment]
    assert schedule.pk == Schedule.objects.get().pk


def test_all_that_was_missed_is_fired_in_portions_up_to_the_limit():
    schedule = make(catch_up="all", catch_up_limit=250, cadence=Every(60))
    miss(schedule, hours=10)

    for jobs in (100, 200, 250):
        fire()
        assert Job.objects.count() == jobs

    found = ticks()
    assert found[-1] - found[0] == timedelta(minutes=249)
    assert timezone.now() - found[-1] < timedelta(minutes=2)


def test_what_many_have_missed_is_fired_in_commits_of_a_size_that_is_bounded():
    rows = [make(f"s{n}", cadence=Every(60), catch_up="all") for n in range(20)]
    for row in rows:
        miss(row, minutes=70)
    count, sizes = 0, []

    while not sizes or sizes[-1]:
        assert fire() is not None
        sizes.append(Job.objects.count() - count)
        count += sizes[-1]

    assert max(sizes) <= looking.MOST + 100
    runs = list(Schedule.objects.values_list("runs", flat=True))
    assert len(set(Job.objects.values_list("pk", flat=True))) == count == sum(runs)
    assert min(runs) >= 70


def test_a_tick_is_skipped_while_the_last_run_is_unfinished():
    schedule = make()
    miss(schedule, minutes=100)
    fire()
    first = Job.objects.get()

    miss(schedule, minutes=50)
    fire()

    assert Job.objects.get() == first
    schedule.refresh_from_db()
    assert [entry["done"] for entry in schedule.recent] == ["skipped", "fired"]
    assert schedule.runs == 1


def test_runs_may_overlap_where_that_is_allowed():
    schedule = make(overlap="allow")
    for _ in range(2):
        come(schedule)
        fire()

    assert Job.objects.count() == 2


def test_one_tick_waits_for_the_end_of_the_run_before():
    schedule = make(overlap="queue_one")
    come(schedule)
    fire()
    before = ticks()
    for _ in range(2):
        tick = come(schedule)
        assert fire() <= 1.0
        assert ticks() == before

    run_jobs()
    Schedule.objects.update(due_at=timezone.now())
    fire()

    assert ticks() == [*before, tick]
    schedule.refresh_from_db()
    assert schedule.waiting_for is None
    assert [entry["done"] for entry in schedule.recent].count("skipped") == 1


def test_the_run_before_is_cancelled_where_that_is_wanted():
    schedule = make(overlap="cancel_running")
    come(schedule)
    fire()
    waiting = Job.objects.get()
    come(schedule)
    fire()
    assert FinishedJob.objects.get().pk == waiting.pk
    assert FinishedJob.objects.get().state == "CANCELLED"

    HandWorker().claim()
    come(schedule)
    fire()

    running = Job.objects.get(state="RUNNING")
    assert running.cancelled_at is not None
    assert Job.objects.filter(state="READY").count() == 1


def test_a_schedule_that_is_disabled_while_its_job_runs_fires_no_more():
    schedule = make(overlap="queue_one")
    miss(schedule, minutes=110)
    fire()
    (job,) = HandWorker().claim()
    miss(schedule, minutes=50)
    fire()

    schedule.refresh_from_db()
    schedule.enabled = False
    schedule.save()

    schedule.refresh_from_db()
    assert (schedule.next_run_at, schedule.due_at) == (None, None)
    assert fire() is None
    assert Job.objects.get(pk=job.id).state == "RUNNING"
    assert Job.objects.count() == 1


def test_what_is_enabled_again_has_missed_nothing():
    schedule = make(catch_up="all")
    miss(schedule, hours=5)
    for enabled in (False, True):
        Schedule.objects.filter(pk=schedule.pk).update(enabled=enabled)
        fire()

    assert not Job.objects.exists()
    schedule.refresh_from_db()
    assert schedule.next_run_at > timezone.now()


def test_no_tick_is_before_the_start_or_after_the_end():
    now = timezone.now()
    schedule = make(
        cadence=Every(60),
        starts_at=now + timedelta(days=1),
        ends_at=now + timedelta(days=1, minutes=2),
    )
    assert len(schedule.next_runs()) == 2
    assert schedule.next_run_at > now + timedelta(days=1)

    Schedule.objects.update(
        starts_at=now - timedelta(days=2),
        ends_at=now - timedelta(days=2) + timedelta(minutes=2),
        due_at=now,
        next_run_at=schedule.cadence.after(now - timedelta(days=2)),
        catch_up="all",
    )
    fire()

    assert Job.objects.count() == 2
    schedule.refresh_from_db()
    assert (schedule.next_run_at, schedule.due_at) == (None, None)


def test_it_ends_after_its_last_run():
    schedule = make(max_runs=3, catch_up="all")
    miss(schedule, hours=5)

    fire()

    assert Job.objects.count() == 3
    schedule.refresh_from_db()
    assert (schedule.runs, schedule.next_run_at, schedule.due_at) == (3, None, None)


def test_a_job_is_not_started_long_after_its_tick():
    come(make("soon", expires=60))
    come(make("late", expires=2), ago=30)
    fire()

    run_jobs()

    states = {
        job.context["dbqueue.schedule"]["name"]: job.state
        for job in FinishedJob.objects.all()
    }
    assert states.pop("soon") == "SUCCESSFUL"
    assert states.get("late") in (None, "CANCELLED")


def test_a_schedule_of_a_task_with_a_limit_waits_for_its_lane():
    for name in ("one", "two"):
        come(make(name, task="tests.schedules.tasks.one_at_a_time"))

    fire()

    assert set(Job.objects.values_list("state", flat=True)) <= {"BLOCKED", "READY"}
    assert set(Job.objects.values_list("lane", flat=True)) != {None}
    run_jobs()
    assert FinishedJob.objects.count() == 2


def test_whoever_listens_hears_of_the_jobs_of_ticks():
    come(make())
    heard = []

    def hear(sender, event, **kwargs):
        heard.append((event.task, event.state))

    job_enqueued.connect(hear)
    try:
        fire()
    finally:
        job_enqueued.disconnect(hear)

    assert heard == [("tests.tasks.noop", "READY")]


@pytest.mark.django_db(transaction=True)
def test_a_tick_outlasts_whoever_holds_its_row(only_postgres):
    tick = miss(make(catch_up="all"), minutes=50)
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM dbqueue_schedule FOR UPDATE")
    try:
        for _ in range(2 * looking.TRIES):
            fire()
        assert not Job.objects.exists()
    finally:
        other.close()

    fire()

    assert ticks() == [tick]


def test_a_keeper_that_was_overtaken_leaves_the_next_tick_to_the_faster_one(early):
    schedule = make()
    moment = come(schedule, ago=-30)
    looking._overtaken.add("default")

    seconds = fire()

    left = (moment - timezone.now()).total_seconds()
    assert seconds > left + looking.BEHIND[0] - 0.01
    come(schedule, ago=-3600)  # the other one has fired it
    looking._prepared["default"][0].at = time.monotonic()
    assert fire() > 60
    assert not Job.objects.exists()


def test_the_tick_of_a_keeper_that_is_gone_is_fired_by_one_that_was_overtaken():
    moment = come(make(), ago=-0.1)
    looking._overtaken.add("default")

    time.sleep(min(0.5, fire()))
    fire()

    assert ticks() == [moment]
    assert not looking._overtaken


def test_what_is_made_while_others_are_about_to_be_fired_does_not_wait_for_them(early):
    come(make("later"), ago=-30)
    fire()
    moment = come(make("sooner"))

    fire()

    assert ticks() == [moment]


def test_saving_what_was_read_before_a_tick_keeps_what_came_of_it():
    schedule = make(max_runs=5)
    tick = miss(schedule, minutes=50)
    stale = Schedule.objects.get()
    fire()
    fired = Schedule.objects.values().get()

    stale.description = "hourly"
    stale.save()

    assert Schedule.objects.values().get() == fired | {"description": "hourly"}
    assert (fired["runs"], fired["last_run_at"]) == (1, tick)
    stale.enabled = False
    stale.save()
    assert Schedule.objects.get().runs == 1
    assert Schedule.objects.get().due_at is None


@pytest.mark.django_db(transaction=True)
def test_schedules_are_run_now_by_many_at_once():
    make(task="tests.tasks.noop")

    def run():
        for _ in range(5):
            Schedule.objects.get().run_now()

    together(run, run, run, run)

    assert Job.objects.count() == 20
    assert len(Schedule.objects.get().recent) == 10


@pytest.mark.parametrize("cadence", [Every(3600), Cron("0 * * * *"), At(NEW_YEAR)])
def test_without_time_zones_schedules_are_planned_and_fired(settings, cadence):
    settings.USE_TZ = False
    schedule = make(cadence=cadence, overlap="allow")
    moment = timezone.now() - timedelta(seconds=5)
    Schedule.objects.update(next_run_at=moment, due_at=moment)
    assert not Schedule.objects.get().is_late

    fire()

    schedule.run_now()
    assert Job.objects.count() == 2
    assert Schedule.objects.get().last_run_at == moment


def test_moments_without_a_time_zone_are_those_of_the_project(settings):
    settings.USE_TZ = False
    schedule = make(cadence=Cron("0 12 * * *", timezone="UTC"), starts_at=None)
    schedule.refresh_from_db()
    local = timezone.make_aware(schedule.next_run_at)
    assert (local.astimezone(UTC).hour, local.astimezone(UTC).minute) == (12, 0)
    tick = local - timedelta(days=1)
    naive = timezone.make_naive(tick)
    Schedule.objects.update(next_run_at=naive, due_at=naive)

    fire()

    assert ticks() == [tick]
    schedule.refresh_from_db()
    assert timezone.make_aware(schedule.next_run_at) == local


def test_a_keeper_before_the_migration_says_so_once(transactional_db, caplog):
    table = Schedule._meta.db_table
    with connection.schema_editor() as editor:
        editor.alter_db_table(Schedule, table, "elsewhere")
    try:
        for _ in range(3):
            assert duties.fire("default") is None
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(Schedule, "elsewhere", table)

    assert [r.levelname for r in caplog.records] == ["WARNING"]


def test_jitter_moves_all_ticks_of_a_schedule_alike():
    schedules = [make(f"s{number}", jitter=600) for number in range(20)]

    delays = {
        (s.due_at - s.next_run_at).total_seconds() for s in Schedule.objects.all()
    }

    assert len(delays) == 20
    assert all(0 <= delay < 600 for delay in delays)
    late = schedules[0]
    shift = late.due_at - late.next_run_at
    Schedule.objects.filter(pk=late.pk).update(
        next_run_at=timezone.now() - shift / 2, due_at=timezone.now()
    )
    fire()
    assert not Job.objects.exists(), "the tick is there, and its moment is not"


def test_a_row_that_is_broken_keeps_no_other_from_being_fired(caplog):
    broken = {
        "cadence": {"cadence": {"cron": "61 * * * *", "timezone": "UTC"}},
        "zone": {"cadence": {"cron": "* * * * *", "timezone": "Mars/Olympus"}},
        "nothing": {"cadence": None or []},
        "task": {"task": "os.system"},
        "arguments": {"task": "tests.schedules.tasks.pair", "args": [1, 2, 3]},
        "kwargs": {"task": "tests.schedules.tasks.pair", "kwargs": {"c": 1}},
        "queue": {"queue_name": "a,b"},
        "backend": {"backend": "nowhere"},
        "priority": {"priority": 1000},
        "zone's type": {"cadence": {"cron": "* * * * *", "timezone": 5}},
        "two times": {"cadence": {"every": 60, "at": []}},
        "interval": {"cadence": {"every": {"days": 1}}},
        "moment": {"cadence": {"at": ["2026-01-01T00:00"]}},
        "text": {"cadence": "* * * * *"},
        "limit": {"catch_up": "all", "catch_up_limit": 0},
        "jitter": {"jitter": 1e300},
        "expires": {"expires": 1e300},
        "no list": {"task": "tests.schedules.tasks.pair", "args": {"a": 1}},
        "no dict": {"kwargs": [1]},
    }
    for name, values in broken.items():
        miss(make(name), minutes=100)
        Schedule.objects.filter(name=name).update(**values, due_at=timezone.now())
    miss(make("sound"), minutes=50)

    fire()

    assert Job.objects.count() == 1
    told = dict(Schedule.objects.values_list("name", "problem"))
    assert told.pop("sound") == ""
    assert all(told.values()), told
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == len(broken)
    Schedule.objects.filter(name="queue").update(queue_name="")
    miss(Schedule.objects.get(name="queue"), minutes=50)
    fire()
    assert Schedule.objects.get(name="queue").problem == ""
    assert Job.objects.count() == 2


def test_a_schedule_of_a_time_zone_that_is_not_here_is_left_to_be_tried_again():
    schedule = make(cadence=Cron("0 * * * *", timezone="UTC"))
    tick = miss(schedule, hours=1)
    unknown = {"cron": "0 * * * *", "timezone": "Mars/Olympus"}
    Schedule.objects.update(cadence=unknown, next_run_at=tick, due_at=tick)
    for _ in range(2):
        fire()
    schedule.refresh_from_db()
    assert "Mars/Olympus" in schedule.problem
    assert schedule.next_run_at == tick
    assert schedule.due_at > timezone.now()

    # The zones of the host are brought up to date, or another host has them.
    Schedule.objects.update(cadence=Cron("0 * * * *", timezone="UTC"), due_at=tick)
    Schedule.objects.update(next_run_at=tick)
    fire()

    assert ticks() == [tick]
    assert Schedule.objects.get().problem == ""


@pytest.fixture
def refusing_queue(transactional_db):
    """Let the database refuse all jobs of the queue `refused`."""
    if connection.vendor == "postgresql":
        statements = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'not this one';
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON dbqueue_job FOR EACH ROW
WHEN (NEW.queue_name = 'refused') EXECUTE FUNCTION refuse();
"""
        undo = "DROP TRIGGER refuse ON dbqueue_job; DROP FUNCTION refuse"
    else:
        statements = """
CREATE TRIGGER refuse BEFORE INSERT ON dbqueue_job
WHEN NEW.queue_name = 'refused' BEGIN SELECT RAISE(ABORT, 'not this one'); END
"""
        undo = "DROP TRIGGER refuse"
    with connection.cursor() as cursor:
        cursor.execute(statements)
    yield "refused"
    with connection.cursor() as cursor:
        cursor.execute(undo)


def test_what_the_database_refuses_keeps_no_other_from_being_fired(refusing_queue):
    for name in ("one", "two", "three"):
        come(make(name, queue_name=refusing_queue if name == "two" else ""))

    fire()

    assert Job.objects.count() == 2
    assert "not this one" in Schedule.objects.get(name="two").problem
    assert Schedule.objects.get(name="two").next_run_at > timezone.now()


def test_a_schedule_of_an_unknown_task_is_left_to_workers_that_know_it():
    miss(make("known"), minutes=50)
    tick = miss(make("other"), minutes=50)
    Schedule.objects.filter(name="other").update(task="elsewhere.tasks.work")

    fire()
    seconds = fire()

    assert seconds > 60, "it is asked no more"
    other = Schedule.objects.get(name="other")
    assert (other.next_run_at, other.problem) == (tick, "")
    assert Job.objects.count() == 1


def test_the_name_of_a_task_may_change_under_its_schedule():
    schedule = make(task="tests.tasks.noop")
    miss(schedule, minutes=50)

    Schedule.objects.filter(pk=schedule.pk).update(task="tests.tasks.add", args=[1, 2])
    fire()
    run_jobs()

    assert FinishedJob.objects.get().result == 3


def test_a_row_with_moments_of_another_hand_is_planned_anew(only_sqlite):
    schedule = make()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE dbqueue_schedule SET due_at = '2026-01-01', "
            "next_run_at = '2026-01-01T00:00'"
        )

    for _ in range(6):
        fire()

    schedule.refresh_from_db()
    assert schedule.next_run_at > timezone.now()


@pytest.mark.parametrize("value", ["infinity", "-infinity"])
def test_a_moment_that_is_none_is_planned_anew(only_postgres, value):
    schedule = make()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE dbqueue_schedule SET due_at = %s", [value])

    for _ in range(6):
        fire()

    schedule.refresh_from_db()
    assert schedule.due_at == schedule.next_run_at > timezone.now()


def test_a_clock_that_steps_back_fires_nothing_twice():
    schedule = make(cadence=Every(60), catch_up="all")
    miss(schedule, minutes=5)
    fire()
    jobs = Job.objects.count()
    # What the clock shows now is an hour before what it showed then.
    rows = Schedule.objects.filter(pk=schedule.pk)
    schedule.refresh_from_db()
    later = schedule.next_run_at + timedelta(hours=1)
    rows.update(next_run_at=later, due_at=later, last_run_at=later)

    fire()

    assert Job.objects.count() == jobs


def test_restored_rows_fire_one_tick_each_at_most():
    names = [f"s{number}" for number in range(10)]
    for name in names:
        schedule = make(name, cadence=Cron("*/10 * * * *", timezone="UTC"))
        miss(schedule, hours=3)  # the age of the backup

    fire()
    fire()

    assert Job.objects.count() == len(names)


def test_thousands_of_schedules_are_asked_for_by_the_first(django_assert_num_queries):
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    Schedule.objects.bulk_create(
        Schedule(
            name=f"s{n}", task="tests.tasks.noop", cadence=Cron("0 0 1 1 *"), args=[]
        )
        for n in range(scaled(2000, 10_000))
    )
    assert moment > timezone.now()

    with django_assert_num_queries(1):
        assert fire() > 0.0


def test_it_is_run_now_without_counting_as_a_tick():
    schedule = make(task=tasks.add.module_path, args=[1], kwargs={"b": 2})
    before = schedule.next_run_at

    result = schedule.run_now()
    run_jobs()

    result.refresh()
    assert result.return_value == 3
    schedule.refresh_from_db()
    assert (schedule.runs, schedule.next_run_at) == (0, before)
    assert schedule.recent[0]["done"] == "manual"
