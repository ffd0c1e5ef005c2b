"""crontab, beat_schedule and add_periodic_task(), on schedules of dbqueue."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import override_settings

from dbqueue.compat.celery import Celery
from dbqueue.compat.celery.app import base, joining, periodic
from dbqueue.compat.celery.schedules import crontab, schedule, solar
from dbqueue.models import Job, Schedule
from dbqueue.schedules.declared import sync
from dbqueue.schedules.firing.looking import fire_due
from dbqueue.schedules.times.cadence import Cron, Every
from dbqueue.testing import run_jobs
from tests.compat import celery_tasks as tasks
from tests.compat.tables import shows

WEEK = datetime(2026, 11, 2, tzinfo=UTC)  # a Monday
MINE = {"queue": "mine"}


def ticks(when, count, after=WEEK):
    cadence, found = periodic.cadence(when), []
    for _ in range(count):
        after = cadence.after(after)
        found.append(after)
    return found


class TestACrontab:
    @shows(
        "crontab",
        "schedule",
        "beat_schedule",
        status="differs",
        how="The day of the month and the weekday both count, as in "
        "Celery. There is no beat: workers fire, once. Intervals are "
        "counted from midnight UTC, and last a second at least. Of the "
        "options, `queue`, `priority` and `expires` count.",
    )
    @pytest.mark.parametrize(
        ("given", "line"),
        [
            ({}, "* * * * *"),
            ({"minute": 0, "hour": 8, "day_of_week": 1}, "0 8 * * 1"),
            ({"minute": "*/15"}, "*/15 * * * *"),
            ({"minute": 0, "hour": "*/3,8-17"}, "0 0,3,6,8-18,21 * * *"),
            ({"day_of_week": "mon-fri"}, "* * * * 1-5"),
            ({"day_of_week": "fri-mon"}, "* * * * 0-1,5-6"),
            ({"day_of_week": "Sunday,wed"}, "* * * * 0,3"),
            ({"hour": "22-4"}, "* 0-4,22-23 * * *"),
            ({"hour": [1, 2, 5]}, "* 1-2,5 * * *"),
            ({"month_of_year": "*/3"}, "* * * */3 *"),
            (
                {"day_of_month": "2-31/2"},
                "* * 2,4,6,8,10,12,14,16,18,20,22,24,26,28,30 * *",
            ),
            ({"minute": "5-5/2"}, "5 * * * *"),
        ],
    )
    def test_is_a_line(self, given, line):
        assert crontab(**given).line() == line
        periodic.cadence(crontab(**given))

    @pytest.mark.parametrize(
        "given",
        [
            {"minute": 60},
            {"day_of_week": 7},
            {"day_of_month": 0},
            {"hour": "x"},
            {"minute": "*/0"},
            {"minute": "5/10"},
            {"minute": "-5"},
            {"minute": ""},
        ],
    )
    def test_that_cannot_be_is_refused(self, given):
        with pytest.raises(ValueError, match="crontab"):
            crontab(**given)

    def test_wants_the_day_and_the_weekday(self):
        found = ticks(crontab(minute=0, hour=8, day_of_month=13, day_of_week="fri"), 2)

        assert found == [
            datetime(2026, 11, 13, 8, tzinfo=UTC),
            datetime(2027, 8, 13, 8, tzinfo=UTC),
        ]

    def test_is_in_utc_or_in_the_time_zone_of_the_settings(self):
        noon = crontab(minute=0, hour=12)
        assert ticks(noon, 1) == [datetime(2026, 11, 2, 12, tzinfo=UTC)]
        with override_settings(CELERY_TIMEZONE="America/New_York"):
            assert ticks(noon, 1) == [datetime(2026, 11, 2, 17, tzinfo=UTC)]

    def test_seconds_and_timedeltas_are_intervals(self):
        assert periodic.cadence(90.0) == Every(90)
        assert periodic.cadence(timedelta(hours=1)) == Every(3600)
        assert periodic.cadence(schedule(timedelta(hours=1))) == Every(3600)

    @shows(
        "solar",
        status="refused",
        how="Each says what to do.",
    )
    def test_of_the_sun_is_refused_in_words(self):
        with pytest.raises(NotImplementedError, match="solar"):
            solar("sunset", 1, 2)


BEAT = {
    "sums": {
        "task": "tests.compat.celery_tasks.add",
        "schedule": crontab(minute=0),
        "args": (1,),
        "kwargs": {"b": 2},
        "options": {"queue": "slow", "expires": 60, "priority": 5, "exchange": "x"},
    },
    "named": {"task": "short.name", "schedule": 30.0},
    "backend cleanup": {"task": "celery.backend_cleanup", "schedule": 30.0},
    "wrong": {"task": "not.there", "schedule": 30.0},
    "never": {"task": "short.name", "schedule": "soon"},
}


@pytest.mark.django_db
class TestPeriodicTasks:
    @override_settings(CELERY_BEAT_SCHEDULE=BEAT)
    def test_those_of_the_settings_are_schedules(self):
        report = sync.sync("default")

        sums = Schedule.objects.get(name="sums")
        assert (sums.task, sums.queue_name, sums.expires, sums.priority) == (
            *("tests.compat.celery_tasks.add", "slow", 60, 5),
        )
        assert sums.cadence == Cron("0 * * * *", timezone="UTC", both_days=True)
        assert sums.overlap == "allow"
        assert {"sums", "named"} <= {*report.created}
        wrong = " ".join(map(str, report.wrong))
        assert "There is no task 'not.there'" in wrong
        assert "'soon' is no schedule" in wrong
        assert "cleanup" not in wrong
        sums.run_now()
        assert [r.return_value for r in run_jobs(queues=["slow"])] == [3]

    @shows(
        "add_periodic_task",
        "on_after_configure",
        "on_after_finalize",
        how="Sent when a worker has imported the tasks.",
    )
    def test_those_of_the_app_are_added_once_it_is_configured(self, monkeypatch):
        monkeypatch.setattr(periodic, "added", {})
        monkeypatch.setattr(base, "apps", [])
        app = Celery("with periodic tasks")

        @app.on_after_configure.connect
        def setup_periodic_tasks(sender, **kwargs):
            sender.add_periodic_task(10, tasks.add.s(4), name="every ten seconds")
            sender.add_periodic_task(
                crontab(hour=7, minute=30), tasks.add.s(1, b=2), expires=10
            )

        made, wrong = joining.declared()
        joining.declared()  # a second time does not add them again

        assert not wrong
        assert [given.name for given in made] == [
            "every ten seconds",
            "tests.compat.celery_tasks.add(1, b=2)",
        ]
        assert made[0].args == [4]
        assert made[1].expires == 10

    def test_what_is_late_is_run_by_a_worker(self):
        with override_settings(CELERY_BEAT_SCHEDULE={"named": BEAT["named"]}):
            sync.sync("default")
        Schedule.objects.update(due_at=WEEK - timedelta(days=9), next_run_at=WEEK)

        fire_due("default")

        assert Job.objects.filter(task=tasks.named.path).count() == 1


@override_settings(CELERY_TASK_ROUTES={"tests.compat.*": {"queue": "routed"}})
def test_a_periodic_task_goes_where_its_route_says_unless_its_entry_does():
    entries = [periodic.Entry(tasks.add.name, 60.0, [1], options=o) for o in ({}, MINE)]

    made = [periodic.declaration("adds", entry) for entry in entries]

    assert [one.queue_name for one in made] == ["routed", "mine"]


def test_a_periodic_task_whose_arguments_do_not_fit_is_told():
    periodic.added["adds"] = periodic.Entry(tasks.add.name, 60.0, [1, 2, 3])
    try:
        _, wrong = periodic.declared()
    finally:
        del periodic.added["adds"]

    assert [str(error) for error in wrong] == [
        "Periodic task 'adds': TypeError: too many positional arguments"
    ]
