"""Code that was written for uWSGI's spooler, with other imports."""

import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from django.utils.functional import lazystr

from dbqueue.compat import duties, uwsgi, uwsgidecorators
from dbqueue.compat.models import SpoolBody
from dbqueue.compat.spooler import endings
from dbqueue.exceptions import InvalidPayload
from dbqueue.ids import uuid7, uuid7_at
from dbqueue.models import FinishedJob, Job, JobState
from dbqueue.testing import run_jobs
from tests.compat import spooler_tasks as tasks
from tests.compat import spooler_twin
from tests.compat.tables import shows
from tests.support.processes import once

pytestmark = [pytest.mark.django_db, once]


class Direction(Enum):
    IN = (1, "in")
    OUT = (2, "out")


@pytest.fixture(autouse=True)
def nothing_seen():
    tasks.seen.clear()
    tasks.answers.clear()
    spooler_twin.seen.clear()
    yield
    uwsgi.spooler = None
    endings.frequency.own = None


def ran():
    """Run what was spooled; return what the functions were given."""
    run_jobs(scheduled=True)
    return tasks.seen


def said():
    """Return what the job that failed was last told."""
    return FinishedJob.objects.get(state="FAILED").attempt_log[-1]["message"]


class TestATraceback:
    def test_begins_in_the_project(self):
        tasks.failing(k="v")
        ran()

        text = FinishedJob.objects.get().attempt_log[-1]["traceback"]
        assert "spooler_tasks.py" in text.splitlines()[1]
        assert text.count("  File ") == 1

    def test_of_a_function_that_is_async_begins_in_the_project(self):
        tasks.asynchronous()  # it wants a key
        ran()

        text = FinishedJob.objects.get().attempt_log[-1]["traceback"]
        assert "spooler_tasks.py" in text.splitlines()[1]

    def test_that_has_no_function_of_the_project_keeps_what_says_why(self):
        tasks.answers.append(None)
        tasks.raw(k="v")
        ran()

        text = FinishedJob.objects.get().attempt_log[-1]["traceback"]
        assert "compat/spooler/functions.py" in text.splitlines()[1]


class TestACall:
    @shows("@spool", "@spool()", "f(key=value)", "f({…})", "f.spool(…)")
    @pytest.mark.parametrize(
        "call",
        [
            lambda: tasks.note(k="v", n=5),
            lambda: tasks.note({"k": "v"}, n="5"),
            lambda: tasks.note.spool({"k": b"v", b"n": 5}),
            lambda: tasks.note.f.spool(k=lazystr("v"), n="5"),
        ],
    )
    def test_it_hands_on_one_dict_of_texts(self, call):
        name = call()

        assert ran() == [
            {
                "ud_spool_func": "note",
                "ud_spool_ret": "-2",
                "spooler_task_name": name.decode(),
                "k": "v",
                "n": "5",
            }
        ]

    def test_two_calls_have_nothing_in_common(self):
        tasks.note(a="1")
        tasks.note(b="2")

        first, second = ran()
        assert "a" not in second
        assert first["spooler_task_name"] != second["spooler_task_name"]

    @shows(
        *("f(n=1.5)", "f(long='…')"),
        status="differs",
        how="Numbers become text, and a value may have over 64 KiB, which uWSGI cuts.",
    )
    def test_values_are_never_cut(self):
        tasks.note(long="ü" * 100_000, number=1.5)

        (found,) = ran()
        assert (found["long"], found["number"]) == ("ü" * 100_000, "1.5")

    @shows(
        "f(n=None)",
        status="refused",
        how="`TypeError`, for lists, dicts and `True`, too: use `pass_arguments=True`.",
    )
    @pytest.mark.parametrize("value", [None, True, [1], {}, object(), b"\xff"])
    def test_what_is_no_text_is_refused_by_name(self, value):
        with pytest.raises(TypeError, match="Value 'k'"):
            tasks.note(k=value)

        assert not Job.objects.exists()

    @shows("f(…).decode()", "if f(…)", "isinstance(f(…), bytes)")
    def test_its_name_is_bytes_and_true(self):
        name = tasks.note(k="v")

        assert isinstance(name, bytes)
        assert name
        assert name.decode() == f"dbqueue:{Job.objects.get().pk}"

    @shows(
        "os.unlink(f(…))",
        status="differs",
        how="`f(…).cancel()`; `.id` and `.job` lead to the job.",
    )
    def test_a_job_is_cancelled_by_its_name(self):
        name = tasks.note(k="v")

        assert name.job.state == "READY"
        assert name.cancel().done == 1
        assert ran() == []

    def test_it_is_rolled_back_with_its_transaction(self):
        with transaction.atomic():
            tasks.note(k="v", body=b"x")
            transaction.set_rollback(True)

        assert not Job.objects.exists()
        assert not SpoolBody.objects.exists()

    @shows("f.f")
    def test_the_function_itself_is_there(self):
        assert tasks.add.f(1, b=2) == "ignored"
        assert not Job.objects.exists()

    @shows("async def", how="uWSGI has no such functions.")
    def test_a_function_may_be_async(self):
        tasks.asynchronous(k="v")

        assert ran() == ["v"]

    def test_two_apps_may_have_functions_of_one_name(self):
        tasks.note(k="mine")
        spooler_twin.note(k="theirs")

        assert [found["k"] for found in ran()] == ["mine"]
        assert [found["k"] for found in spooler_twin.seen] == ["theirs"]


class TestSpecialKeys:
    @shows(
        "at", how="Seconds, as text, bytes or a number; a datetime or a timedelta, too."
    )
    @pytest.mark.parametrize("kind", [str, int, float, lambda at: str(at).encode()])
    def test_at_says_when(self, kind):
        tasks.note(at=kind(time.time() + 3600))

        job = Job.objects.get()
        assert job.state == "SCHEDULED"
        assert (
            timedelta(minutes=59) < job.run_after - timezone.now() < timedelta(hours=2)
        )

    @pytest.mark.parametrize(
        "at",
        [timedelta(hours=1), datetime(2090, 1, 1, tzinfo=UTC), datetime(2090, 1, 1)],
    )
    def test_at_may_be_of_pythons_own_types(self, at):
        tasks.note(at=at)

        assert Job.objects.get().state == "SCHEDULED"

    def test_a_moment_that_is_past_is_now(self):
        tasks.note(at=str(time.time() - 3600))

        assert Job.objects.get().state == "READY"

    @shows("priority", how="Always in force; low numbers first, those of none last.")
    def test_low_priorities_come_first_and_none_last(self):
        for priority in (None, 10, "2", b"300", 1):
            how = {} if priority is None else {"priority": priority}
            tasks.note(k=str(priority), **how)

        assert [found["k"] for found in ran()] == ["1", "2", "10", "b'300'", "None"]

    @shows(
        "spooler",
        status="differs",
        how="The queue of the directory: its last part, or as `SPOOLERS` says.",
    )
    def test_a_spooler_is_a_queue(self):
        tasks.note(spooler="/var/spool/mail/")
        with override_settings(DBQUEUE={"COMPAT": {"SPOOLERS": {"/a/x": "slow"}}}):
            tasks.note(spooler=b"/a/x")

        assert [job.queue_name for job in Job.objects.order_by("pk")] == [
            "mail",
            "slow",
        ]

    @shows(
        "body",
        status="differs",
        how="Of any size. Text arrives as text, as in uWSGI, and equals its bytes; "
        "what is not UTF-8 arrives as bytes, where uWSGI fails. "
        "`bytes(args['body'])` is right for both.",
    )
    def test_a_body_of_any_size_arrives(self, django_assert_max_num_queries):
        body = bytes(range(256)) * 4096 + b"end"

        tasks.note(k="v", body=body)

        assert SpoolBody.objects.count() == 5
        (found,) = ran()
        assert (found["body"] == body, found["k"]) == (True, "v")

    @pytest.mark.parametrize("body", [b"", "text", bytearray(b"x"), memoryview(b"x")])
    def test_a_body_may_be_empty_or_text(self, body):
        tasks.note(body=body)

        (found,) = (args["body"] for args in ran())
        wanted = body.encode() if body == "text" else bytes(body)
        assert found == wanted
        assert found == wanted.decode()
        assert bytes(found) == wanted
        assert found.decode() == wanted.decode()

    @pytest.mark.parametrize(
        "how",
        [
            *({"at": "soon"}, {"at": 1e40}, {"priority": "high"}, {"priority": -1}),
            {"priority": 1.5},
        ],
    )
    def test_what_cannot_be_read_is_refused_at_once(self, how):
        with pytest.raises(ValueError, match=next(iter(how))):
            tasks.note(**how)

    @override_settings(
        TASKS={
            "default": {
                "BACKEND": "dbqueue.backend.DatabaseBackend",
                "QUEUES": ["default"],
            }
        }
    )
    def test_a_queue_that_is_not_listed_is_a_value_error_as_in_uwsgi(self):
        with pytest.raises(ValueError, match="'mail' is not valid"):
            tasks.note(spooler="/var/spool/mail")


class TestBodies:
    def test_a_body_stays_for_retries_and_goes_after_success(self):
        tasks.answers += [0]
        tasks.raw(body=b"kept")

        assert [found["body"] for found in ran()] == [b"kept", b"kept"]
        duties.prune_bodies("default")
        assert not SpoolBody.objects.exists()

    def test_a_body_of_a_failed_job_is_there_for_its_retry(self, single_attempt):
        name = tasks.failing(body=b"kept")
        ran()
        duties.prune_bodies("default")

        name.job.retry()

        assert [found["body"] for found in ran()] == [b"kept", b"kept"]

    def test_a_body_of_a_forgotten_job_goes_when_it_is_old(self):
        old = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
        for job_id in (uuid7(), uuid7_at(old, "x")):
            SpoolBody.objects.create(job_id=job_id, position=0, data=b"x")

        duties.prune_bodies("default")

        assert SpoolBody.objects.count() == 1

    def test_a_successful_job_that_is_retried_says_where_its_body_went(
        self, single_attempt
    ):
        name = tasks.note(body=b"x")
        ran()
        duties.prune_bodies("default")

        name.job.retry()
        run_jobs()

        assert "was deleted" in said()


class TestPassArguments:
    @shows(
        "@spool(pass_arguments=True)",
        status="differs",
        how="Nothing is pickled: JSON, dates, decimals, UUIDs, bytes, tuples, sets, "
        "Enums and model instances arrive as they left; anything else is a "
        "`TypeError`. So are arguments that do not fit the function.",
    )
    @pytest.mark.parametrize(
        "value",
        [
            *(1, 1.5, None, True, "ü", b"\x00\xff", (1, (2,)), {1, 2}, frozenset("a")),
            *([1, [2]], {"a": {"b": (1,)}}, {1: "int"}, {(1, 2): b"x"}, {"$spool": 1}),
            *(date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.10")),
            *(timedelta(seconds=1.5), JobState.READY, Direction.IN, [Direction.OUT]),
        ],
    )
    def test_values_arrive_as_they_left(self, value):
        tasks.add(value, b=value)

        ((first, second, more, named),) = ran()
        assert first == second == value
        assert type(first) is type(value)
        assert (more, named) == ((), {})

    def test_an_enum_that_no_worker_could_find_is_refused(self):
        class Hidden(Enum):
            ONE = 1

        with pytest.raises(TypeError, match="top level of a module"):
            tasks.add(Hidden.ONE)

    def test_a_model_instance_is_read_again(self):
        group = Group.objects.create(name="a")
        tasks.add(group)
        Group.objects.update(name="b")

        assert ran()[0][0].name == "b"

    def test_names_of_its_own_do_not_collide(self):
        tasks.add(1, 2, 3, self="s", context="c", task="t", args="a")

        assert ran()[0][3] == {"self": "s", "context": "c", "task": "t", "args": "a"}

    def test_special_keys_are_not_the_functions(self):
        tasks.add.spool(1, at=b"4102444800.5", priority=1, spooler="/x/mail", body=b"-")

        job = Job.objects.get()
        assert (job.state, job.queue_name) == ("SCHEDULED", "mail")
        assert ran() == [(1, 1, (), {})]

    def test_arguments_that_do_not_fit_are_refused_at_once(self):
        with pytest.raises(TypeError, match="missing a required argument"):
            tasks.add()

    def test_what_only_pickle_takes_is_refused_with_a_hint(self):
        with pytest.raises(InvalidPayload, match="type 'object'"):
            tasks.add(object())


class TestEnds:
    @shows(
        "exceptions of @spool",
        status="differs",
        how="Tried again with a growing pause, `MAX_ATTEMPTS` times in all, and then "
        "`FAILED` in the admin; uWSGI tries for ever.",
    )
    def test_a_failure_is_tried_a_few_times_under_one_name(self):
        name = tasks.failing(k="v")

        found = ran()

        assert len(found) == 5
        assert {each["spooler_task_name"] for each in found} == {name.decode()}
        assert FinishedJob.objects.get().state == "FAILED"

    @shows("@spoolraw", "uwsgi.SPOOL_OK", "uwsgi.SPOOL_RETRY")
    def test_raw_says_when_it_is_done(self):
        tasks.answers += [uwsgi.SPOOL_RETRY] * 7
        tasks.raw(k="v")

        assert len(ran()) == 8
        job = FinishedJob.objects.get()
        assert (job.state, job.failures) == ("SUCCESSFUL", 0)
        assert "ud_spool_ret" not in tasks.seen[0]

    @shows(
        "uwsgi.SPOOL_IGNORE",
        status="differs",
        how="It counts as a failure, as `None` and all else that `@spoolraw` returns.",
    )
    @pytest.mark.parametrize("answer", [uwsgi.SPOOL_IGNORE, None, 1, "done", True])
    def test_any_other_answer_is_a_failure_that_says_so(self, answer):
        tasks.answers += [answer] * 5
        tasks.raw(k="v")

        assert len(ran()) == 5
        assert repr(answer) in said()

    def test_a_retry_waits_for_the_frequency(self):
        tasks.answers += [uwsgi.SPOOL_RETRY]
        tasks.raw()

        run_jobs(until=timedelta(seconds=20))
        assert len(tasks.seen) == 1
        run_jobs(until=timedelta(seconds=40))
        assert len(tasks.seen) == 2

    @shows(
        "@spoolforever",
        how="Until somebody cancels it. Exceptions are logged, and do not end it.",
    )
    def test_it_runs_for_ever_whatever_it_raises(self):
        tasks.answers += [ValueError("no"), ValueError("no")]
        tasks.forever(k="v")

        run_jobs(until=timedelta(seconds=100))

        assert len(tasks.seen) == 4
        assert {found["ud_spool_ret"] for found in tasks.seen} == {"-1"}
        job = Job.objects.get()
        assert (job.state, job.failures) == ("SCHEDULED", 0)
        assert uwsgi.spooler_jobs()[0].cancel()

    @shows(
        "uwsgi.set_spooler_frequency",
        status="differs",
        how="Of the process and its children: call it in `tasks`, or set "
        "`SPOOLER_FREQUENCY`. It counts for runs after the first; that is at once.",
    )
    def test_the_frequency_can_be_set(self):
        uwsgi.set_spooler_frequency(5)
        tasks.forever_with(1)

        run_jobs(until=timedelta(seconds=12))

        assert tasks.seen == [1, 1, 1]
        with pytest.raises(ValueError, match="above 0"):
            uwsgi.set_spooler_frequency(0)


class TestTheModule:
    @shows("uwsgi.spool", "uwsgi.send_to_spooler", "uwsgi.spooler = f")
    def test_a_message_that_names_nothing_is_for_the_hook(self):
        uwsgi.spooler = lambda message: tasks.seen.append(message) or uwsgi.SPOOL_OK

        uwsgi.spool({b"a": "1"}, body=b"x")
        uwsgi.send_to_spooler(b="2")
        uwsgi.spool(message_dict={"c": "3"})

        first, second, third = ran()
        assert (first[b"a"], first["body"]) == (b"1", b"x")
        assert second.keys() == {b"b", "spooler_task_name"}
        assert third[b"c"] == b"3"

    def test_a_message_may_name_a_function(self):
        uwsgi.spool(ud_spool_func="raw", k="v")
        uwsgi.spool({b"ud_spool_func": b"failing"})

        assert [found.get("k") for found in ran()][:2] == ["v", None]

    def test_a_name_of_two_functions_or_of_none_is_refused(self):
        with pytest.raises(ValueError, match=r"spooler_tasks.note or .*twin.note"):
            uwsgi.spool(ud_spool_func="note")
        with pytest.raises(ValueError, match="'gone'"):
            uwsgi.spool(ud_spool_func="gone")

    def test_without_a_hook_the_job_fails_and_says_so(self, single_attempt):
        uwsgi.spool(a="1")
        run_jobs()

        assert "uwsgi.spooler is not set" in said()

    @shows("uwsgi.spooler_jobs", "uwsgi.spooler_get_task")
    def test_what_waits_can_be_looked_at(self, worker):
        name = tasks.note(k="v", body=b"b")
        other = tasks.add(1)

        assert uwsgi.spooler_jobs() == [name, other]
        found = uwsgi.spooler_get_task(name)
        assert (found[b"k"], found["body"]) == (b"v", b"b")
        assert uwsgi.spooler_get_task(name.decode()) == found
        worker.claim()
        assert uwsgi.spooler_get_task(name) is None
        assert uwsgi.spooler_get_task("/var/spool/uwsgi_spoolfile_on_x") is None
        assert uwsgi.spooler_get_task(name + b"x") is None

    @shows("uwsgi.i_am_the_spooler")
    def test_code_can_ask_where_it_runs(self):
        tasks.where()

        assert ran() == [True]
        assert not uwsgi.i_am_the_spooler()

    @shows("uwsgi.spooler_pid", "uwsgi.spooler_pids", how="Of all workers.")
    def test_the_workers_are_the_spoolers(self, worker):
        assert len(uwsgi.spooler_pids()) == 1
        assert uwsgi.spooler_pid() == uwsgi.spooler_pids()[0]

    @shows("uwsgi.opt", "uwsgi.masterpid", "uwsgi.worker_id", "uwsgi.mule_id")
    def test_code_that_asks_for_a_spooler_finds_one(self):
        assert "spooler" in uwsgi.opt
        assert uwsgi.masterpid()
        assert (uwsgi.worker_id(), uwsgi.mule_id()) == (0, 0)
        assert uwsgi.spooler_dir() == uwsgi.spoolers[0] == "default"

    @shows(
        *("uwsgi.cache_*", "uwsgi.queue_*", "uwsgi.rpc", "uwsgi.mule_msg"),
        *("uwsgi.add_file_monitor", "uwsgi.websocket_*"),
        status="refused",
        how="`NotImplementedError`, which names the way out.",
    )
    @pytest.mark.parametrize("name", ["cache_get", "rpc", "mule_msg", "queue_push"])
    def test_what_is_not_there_says_what_is(self, name):
        with pytest.raises(NotImplementedError, match=f"uwsgi.{name} has no"):
            getattr(uwsgi, name)("x")
        with pytest.raises(AttributeError):
            uwsgi.gone  # noqa: B018

    @shows(
        *("@filemon", "@rpc", "@erlang", "@mule", "@muleloop", "@mulemsg", "@farm"),
        "@mstimer",
        status="refused",
        how="`NotImplementedError` at the import, which names the way out.",
    )
    @pytest.mark.parametrize(
        "name", ["filemon", "rpc", "erlang", "mule", "muleloop", "mulemsg", "farm"]
    )
    def test_decorators_without_an_equivalent_are_refused(self, name):
        with pytest.raises(NotImplementedError, match=f"{name} has no equivalent"):
            getattr(uwsgidecorators, name)("x")


INLINE = """
import sys, warnings
from django.conf import settings
settings.configure(INSTALLED_APPS=[], DATABASES={})
from dbqueue.compat.uwsgidecorators import mulefunc, spool, spoolraw, timer

@spool
def send(args): print("ran", args["k"], args.get("body"))

@spool(pass_arguments=True)
def add(a, b): print(a + b)

@mulefunc
def fail(): raise KeyError("no")

@timer(5)
def tick(n): pass

assert send(k="v", body=b"x")
assert send.spool({"k": "w"})
import django; django.setup()
add(1, b=2)
try: fail()
except KeyError: print("told")
print(sorted(n for n in sys.modules if n.startswith("dbqueue") and ".models" in n))
"""

SHIM = """
import sys
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "dbqueue"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TASKS={"default": {"BACKEND": "dbqueue.backend.DatabaseBackend"}},
    DBQUEUE={"COMPAT": {"UWSGI_SHIM": True}},
)
if "there" in sys.argv: sys.modules["uwsgi"] = sys
django.setup()
import uwsgi, uwsgidecorators
print(uwsgi.__name__, uwsgidecorators.__name__)
"""


def python(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd="/",
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    assert not done.returncode, done.stderr
    return done.stdout.split("\n")[:-1], done.stderr


class TestSetUp:
    @shows(
        about="without `dbqueue` in `INSTALLED_APPS`",
        how="Functions run at once, in the caller, with one warning in the log.",
    )
    def test_without_the_app_functions_run_at_once_with_one_warning(self):
        out, err = python(INLINE)

        assert out == ["ran v x", "ran w None", "3", "told", "[]"]
        assert err.count("are run at once") == 1
        assert err.count("timers and crons do not run") == 1

    @shows(
        *("import uwsgi", "from uwsgidecorators import …"),
        how="With `UWSGI_SHIM` in the settings; else with `dbqueue.compat` before it.",
    )
    def test_the_shim_has_the_old_names(self):
        out, _ = python(SHIM)
        beside, _ = python(SHIM, "there")

        assert out == ["dbqueue.compat.uwsgi dbqueue.compat.uwsgidecorators"]
        assert beside == ["sys dbqueue.compat.uwsgidecorators"]
