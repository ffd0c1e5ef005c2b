"""Timers, crons, signals, mules and locks of uWSGI's, with other imports."""

import itertools
import os
import random
import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings

from dbqueue import signals
from dbqueue.compat import uwsgi
from dbqueue.compat.spooler import locks
from dbqueue.compat.spooler import signals as numbers
from dbqueue.compat.spooler.cadences import UwsgiCron
from dbqueue.compat.uwsgidecorators import (
    cron,
    get_free_signal,
    harakiri,
    lock,
    mulefunc,
    postfork,
    rbtimer,
    signal,
    thread,
    timer,
)
from dbqueue.exceptions import InvalidSchedule
from dbqueue.models import Job
from dbqueue.schedules.declared import declarations, sync
from dbqueue.schedules.firing import looking
from dbqueue.schedules.models import Schedule
from dbqueue.schedules.times import cadence
from dbqueue.testing import run_jobs
from tests.compat import spooler_tasks as tasks
from tests.compat.tables import shows
from tests.schedules.test_firing import come
from tests.support.processes import once

pytestmark = [pytest.mark.django_db, once]


def handler(number):
    tasks.seen.append(number)


def other(number):
    tasks.seen.append(("other", number))


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setattr(declarations, "declared", {})
    monkeypatch.setattr(numbers, "registered", {})
    monkeypatch.setattr(numbers, "of_path", {})
    monkeypatch.setattr(numbers, "_times", {})
    looking._prepared.clear()
    tasks.seen.clear()


def fire():
    """Let each schedule's tick come, and run its job."""
    sync.sync("default")
    for row in Schedule.objects.all():
        come(row)
    looking.fire_due("default")
    run_jobs()
    return tasks.seen


class TestTimers:
    @shows(
        "@timer(secs, signum=, target=)",
        "uwsgi.add_timer",
        status="differs",
        how="A schedule, counted from 1970: it keeps its time over restarts, and fires "
        "once over all workers. What was missed is not run, nor beside its last run.",
    )
    def test_a_timer_hands_its_number_to_the_function(self):
        assert timer(5, signum=17)(handler) is handler

        assert fire() == [17]
        row = Schedule.objects.get()
        assert str(row.cadence) == "Every 5 seconds"
        assert (row.catch_up, row.overlap) == ("none", "skip")

    @shows(
        *("@rbtimer(secs, signum=, target=)", "uwsgi.add_rb_timer", "iterations"),
        how="As `@timer`.",
        status="differs",
    )
    def test_an_rbtimer_may_have_so_many_iterations(self):
        rbtimer(5, iterations=1)(handler)

        assert fire() == [0]
        assert fire() == [0]

    def test_one_function_may_have_several_timers(self):
        timer(5)(timer(7)(handler))
        cron(-1, -1, -1, -1, -1)(other)

        assert sorted(fire(), key=str) == [("other", 2), 0, 1]
        assert Schedule.objects.count() == 3

    def test_the_same_timer_twice_is_one(self):
        timer(5, signum=3)(handler)
        timer(5, signum=3)(handler)
        sync.sync("default")

        assert Schedule.objects.count() == 1

    def test_numbers_by_hand(self):
        uwsgi.register_signal(30, "", handler)
        uwsgi.add_timer(30, 5)
        uwsgi.add_rb_timer(30, 6, 2)
        uwsgi.add_cron(30, 0, -2, -1, -1, -1)

        assert fire() == [30, 30, 30]

    @pytest.mark.parametrize("seconds", [0, 0.5, -1, "5"])
    def test_less_than_a_second_is_refused(self, seconds):
        with pytest.raises(InvalidSchedule):
            timer(seconds)

    @shows(
        "target=",
        status="differs",
        how="Any worker, as for `spooler`, `worker1` and `workers`; `mule1` and "
        "`farm_x` are the queues `mule1` and `x`.",
    )
    @pytest.mark.parametrize(
        ("target", "queue"),
        [
            *(("", "default"), ("spooler", "default"), ("worker1", "default")),
            *(("workers", "default"), ("mule", "mule"), ("mule3", "mule3")),
            *(("mules", "mules"), ("farm_painters", "painters")),
        ],
    )
    def test_a_target_is_a_queue(self, target, queue):
        signal(9, target=target)(handler)

        uwsgi.signal(9)

        assert Job.objects.get().queue_name == queue


class TestSignals:
    @shows("@signal(num, target=)", "uwsgi.signal", "uwsgi.register_signal")
    def test_a_signal_runs_its_handler_as_a_job(self):
        signal(9)(handler)

        uwsgi.signal(9)
        assert tasks.seen == []
        run_jobs()

        assert tasks.seen == [9]

    def test_a_signal_without_a_handler_is_refused(self):
        with pytest.raises(ValueError, match="no handler"):
            uwsgi.signal(9)
        with pytest.raises(NotImplementedError):
            uwsgi.signal(9, "192.168.0.1:3031")
        with pytest.raises(ValueError, match="whole number"):
            signal(-1)(handler)

    @shows("get_free_signal", "uwsgi.signal_registered", how="More than 256 are there.")
    def test_free_numbers_do_not_end(self):
        for number in range(300):
            signal(number)(handler)

        assert get_free_signal() == 300
        assert uwsgi.signal_registered(299)
        assert not uwsgi.signal_registered(300)


def matches(moment, minute, hour, day, month, weekday):
    """Tell whether uWSGI would run it in this minute; told by its documentation."""

    def fits(wanted, value):
        return value % -wanted == 0 if wanted < 0 else value == wanted

    rest = all(
        map(fits, (minute, hour, month), (moment.minute, moment.hour, moment.month))
    )
    days = (
        fits(day, moment.day),
        fits(weekday % 7 if weekday == 7 else weekday, moment.isoweekday() % 7),
    )
    return rest and (any(days) if day >= 0 and weekday >= 0 else all(days))


class TestCron:
    @shows(
        "@cron(minute, hour, day, month, dayweek)",
        "uwsgi.add_cron",
        how="-1, -N, Sunday as 0 or 7, a day or a weekday; by `TIME_ZONE`. Where the "
        "clock is changed, and after an outage, it is as for a "
        "[Cron](schedule.md#say-when).",
    )
    @pytest.mark.parametrize("seed", range(40))
    def test_it_is_due_when_uwsgi_would_run_it(self, seed):
        chance = random.Random(seed)
        pick = chance.choice
        fields = (
            pick([-1, -7, -30, chance.randrange(60)]),
            pick([-1, -5, chance.randrange(24)]),
            pick([-1, -2, -3, chance.randrange(1, 29)]),
            pick([-1, -3, chance.randrange(1, 13)]),
            pick([-1, -2, 7, chance.randrange(7)]),
        )
        times = UwsgiCron(*fields, timezone="UTC")
        moment = datetime(2026, chance.randrange(1, 13), 1, tzinfo=UTC)

        for _ in range(5):
            found = times.after(moment)
            assert matches(found, *fields)
            step, before = timedelta(minutes=1), moment.replace(second=0)
            for count in itertools.count(1):
                if before + count * step >= min(found, moment + timedelta(days=3)):
                    break
                assert not matches(before + count * step, *fields), fields
            moment = found

    @pytest.mark.parametrize(
        ("fields", "first"),
        [
            ((0, 0, -2, -1, -1), (2026, 1, 2)),  # and not the 1st, as */2 would be
            ((0, 0, 1, -3, -1), (2026, 3, 1)),  # and not January
            ((0, 0, 20, -1, 0), (2026, 1, 4)),  # the Sunday, or the 20th
            ((0, 0, -1, -1, 7), (2026, 1, 4)),
            ((0, 0, 29, 2, -1), (2028, 2, 29)),
        ],
    )
    def test_the_rules_that_a_crontab_has_not(self, fields, first):
        moment = datetime(2025, 12, 31, 12, tzinfo=UTC)
        if fields == (0, 0, 29, 2, -1):
            moment = datetime(2026, 1, 1, tzinfo=UTC)

        found = UwsgiCron(*fields, timezone="UTC").after(moment)

        assert found == datetime(*first, tzinfo=UTC)

    def test_it_goes_by_the_time_zone_of_the_settings(self):
        with override_settings(TIME_ZONE="Europe/Berlin"):
            times = UwsgiCron(30, 2, -1, -1, -1)

        zone = ZoneInfo("Europe/Berlin")
        lacking = times.after(datetime(2026, 3, 28, 12, tzinfo=UTC)).astimezone(zone)
        assert (lacking.day, lacking.hour, lacking.minute) == (29, 3, 0)
        twice = times.after(datetime(2026, 10, 24, 12, tzinfo=UTC))
        assert twice.astimezone(zone).fold == 0
        assert times.after(twice) - twice > timedelta(hours=20)

    def test_a_row_keeps_it(self):
        times = UwsgiCron(0, -2, 1, -1, 5)

        assert cadence.read(times.as_json()) == times
        words = "minute 0, hour divided by 2, day 1, weekday 5 (the day or the weekday)"
        assert words in times.words()

    @pytest.mark.parametrize(
        "fields",
        [
            *((60, -1, -1, -1, -1), (0, 24, -1, -1, -1), (0, 0, 31, 2, -1)),
            *((0, 0, -1, 13, -1), ("0", 0, 0, 0, 0), (True, 0, 0, 0, 0)),
            (0, 0, -1, -1, 8),
        ],
    )
    def test_what_never_comes_is_refused(self, fields):
        with pytest.raises(InvalidSchedule, match="@cron"):
            cron(*fields)


class TestMules:
    @shows(
        *("@mulefunc", "@mulefunc(1)", "@mulefunc('farm')"),
        status="differs",
        how="A job in the queue `mule`, `mule1` or `farm`, which survives a restart. A "
        "worker has to serve these queues.",
    )
    def test_a_call_is_a_job_in_the_mules_queue(self):
        assert tasks.on_mule((1,), at="mine") is None
        tasks.on_mule_2()
        tasks.on_farm()

        queues = [job.queue_name for job in Job.objects.order_by("pk")]
        assert queues == ["mule", "mule2", "painters"]
        run_jobs()
        assert tasks.seen == [((1,), "mine"), "2", "farm"]
        assert uwsgi.spooler_jobs() == []

    def test_arguments_that_do_not_fit_are_refused(self):
        with pytest.raises(TypeError):
            mulefunc(handler)()


class TestHarakiri:
    @shows(
        "@harakiri(seconds)",
        status="differs",
        how="Above or below the other decorators. It counts as a failure, and ends "
        "with the function: no later job is killed. Outside of a worker it does "
        "nothing.",
    )
    def test_it_may_stand_above_or_below(self):
        tasks.limited_inside(k="v")
        tasks.limited_outside(k="v")
        timer(5)(harakiri(3)(handler))
        harakiri(3)(timer(6)(other))

        run_jobs()
        assert len(tasks.seen) == 2
        assert harakiri(3)(handler)(5) is None
        assert numbers.registered[1].handler is not other


class TestLocks:
    @shows(
        "@lock",
        *("uwsgi.lock", "uwsgi.unlock", "uwsgi.is_locked"),
        status="differs",
        how="Of a host, as in uWSGI; it holds in jobs, too, where uWSGI skips the "
        "function. For all hosts, use a [limit](limit.md).",
    )
    def test_one_thread_at_a_time_runs_what_is_locked(self):
        inside, most = [], []

        @lock
        def work():
            inside.append(1)
            most.append(len(inside))
            os.sched_yield()
            inside.pop()

        threads = [threading.Thread(target=work) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

        assert most == [1] * 8

    def test_it_holds_in_jobs_and_may_be_entered_again(self):
        tasks.locked()
        run_jobs()
        assert tasks.seen == [True]

        with locks.locked(), locks.locked():
            assert uwsgi.is_locked()
        assert not uwsgi.is_locked()

    def test_the_numbers_are_locks_of_their_own(self):
        uwsgi.lock(3)

        assert uwsgi.is_locked(3)
        assert not uwsgi.is_locked()
        uwsgi.unlock(3)
        uwsgi.unlock(3)
        assert not uwsgi.is_locked(3)

    def test_it_ends_with_the_process_that_held_it(self):
        pid = os.fork()
        if not pid:
            uwsgi.lock(4)
            os.kill(os.getpid(), 9)
        os.waitpid(pid, 0)

        assert not uwsgi.is_locked(4)


class TestProcesses:
    @shows(
        *("@postfork", "uwsgi.post_fork_hook = f"),
        status="differs",
        how="In each process of a worker, and not in those of the web server. "
        "`@postfork(2)` is refused: processes have no numbers.",
    )
    def test_postfork_runs_when_a_worker_is_ready(self):
        @postfork
        def connect():
            tasks.seen.append("forked")

        uwsgi.post_fork_hook = lambda: tasks.seen.append("hook")
        try:
            signals.worker_ready.send(sender=None, event=None)
        finally:
            uwsgi.post_fork_hook = None
            signals.worker_ready.disconnect(dispatch_uid=connect)

        assert sorted(tasks.seen) == ["forked", "hook"]
        with pytest.raises(NotImplementedError):
            postfork(2)

    @shows("@thread")
    def test_a_thread_is_a_daemon(self):
        done = threading.Event()

        @thread
        def work(a, b=1):
            tasks.seen.append((a, b, threading.current_thread().daemon))
            done.set()

        assert work(1, b=2).__name__ == "work"
        assert done.wait(60)
        assert tasks.seen == [(1, 2, True)]
