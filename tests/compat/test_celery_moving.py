"""What a project that leaves Celery brings along: settings, code and history."""

import io
import json
import textwrap
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from dbqueue.compat import checks
from dbqueue.compat.celery.app import base, joining, making
from dbqueue.compat.celery.app.periodic import Entry, added
from dbqueue.compat.celery.conf import keys, routes, source
from dbqueue.compat.celery.move import messages, tables
from dbqueue.compat.celery.result import AsyncResult
from dbqueue.models import FinishedJob, Schedule
from dbqueue.schedules.times.cadence import At, Cron, Every
from tests.compat import celery_tasks as tasks
from tests.compat.tables import shows


@pytest.fixture
def conf(monkeypatch):
    monkeypatch.setattr(source, "current", source.Source())
    return source.current


def of_base(): ...


class TestSettings:
    @shows(
        "config_from_object",
        "config_from_envvar",
        "app.conf",
        "autodiscover_tasks",
        "imports",
        "include",
        how="Workers import the modules `tasks` of all apps in any case.",
    )
    def test_they_are_read_with_and_without_a_namespace(self, conf, monkeypatch):
        old = {"CELERY_ALWAYS_EAGER": True, "CELERYD_TASK_TIME_LIMIT": 9}
        app = base.Celery()
        app.config_from_object(
            SimpleNamespace(MY_TASK_DEFAULT_QUEUE="q"), namespace="MY"
        )
        assert app.conf.task_default_queue == "q"
        app.config_from_object(old)
        assert (app.conf.task_always_eager, app.conf["task_time_limit"]) == (True, 9)
        app.conf.task_always_eager = False
        with override_settings(CELERY_TASK_ALWAYS_EAGER=True):
            assert source.value("task_always_eager") is False
        monkeypatch.setenv("MY_CONFIG", "tests.compat.not_there")
        with pytest.raises(ImproperlyConfigured, match="no such variable"):
            app.config_from_envvar("NO_CONFIG")
        app.config_from_envvar("NO_CONFIG", silent=True)
        app.config_from_envvar("MY_CONFIG")
        with pytest.raises(ImportError, match="not_there' is no module"):
            app.conf.get("timezone")
        app.conf.update(timezone="Europe/Berlin")
        assert app.timezone == "Europe/Berlin"

    @pytest.mark.parametrize("between", [":", "."])
    def test_the_class_of_tasks_is_imported_when_it_is_needed(self, between):
        app = base.Celery(task_cls=f"tests.compat.celery_tasks{between}Base")

        assert isinstance(app.task(of_base), tasks.Base)
        assert app.Task is tasks.Base
        lost = base.Celery(task_cls="tests.compat.not_there:Base")
        with pytest.raises(ImportError, match="not_there"):
            lost.Task  # noqa: B018

    def test_annotations_and_defaults_are_those_of_tasks(self):
        given = {"*": {"rate_limit": "3/m"}, tasks.named.name: {"max_retries": 9}}
        with override_settings(CELERY_TASK_ANNOTATIONS=given):
            assert routes.annotated(tasks.named.name) == {
                "rate_limit": "3/m",
                "max_retries": 9,
            }
        with override_settings(CELERY_TASK_DEFAULT_QUEUE="mine"):
            assert making._of_declaration(tasks.add)["queue_name"] == "mine"

    @pytest.mark.parametrize(
        ("given", "rate"),
        [
            ("10/m", {"rate": 10, "per": 60.0}),
            (5, {"rate": 5, "per": 1.0}),
            ("0.5/h", {"rate": 1, "per": 7200.0}),
            (0, None),
            (None, None),
        ],
    )
    def test_a_rate_is_read(self, given, rate):
        assert routes.rate(given) == rate
        with pytest.raises(ValueError, match="is a number"):
            routes.rate("often")

    def test_modules_of_other_names_are_imported(self, monkeypatch, conf):
        monkeypatch.setattr(base, "discovered", [])
        app = base.Celery()
        app.autodiscover_tasks(["tests.compat"], related_name="celery_tasks")
        conf.conf.update(imports=["tests.compat.not_there"])
        with pytest.raises(ModuleNotFoundError, match="not_there"):
            joining.import_modules()
        conf.conf.update(imports=["tests.compat.celery_tasks"])
        joining.import_modules()

    @shows(
        "CELERY_TASK_SERIALIZER='pickle'",
        "CELERY_WORKER_POOL='gevent'",
        status="refused",
        how="[dbqueue.E010](../reference/checks.md#dbqueue-e010).",
    )
    @override_settings(CELERY_TASK_ALWAYS_EAGR=True, CELERY_EMAIL_BACKEND="x")
    def test_what_cannot_be_is_told_by_check(self, conf):
        conf.conf.update(task_serializer="pickle", worker_pool="gevent")

        found = {message.id: str(message) for message in checks.check_celery()}

        assert {"dbqueue.E010", "dbqueue.W030"} == found.keys()
        assert "Did you mean 'task_always_eager'" in found["dbqueue.W030"]
        assert "never as pickle" in keys.problem("task_serializer", "pickle")
        assert "gevent" in keys.problem("worker_pool", "gevent")
        assert not keys.misspelt("beat_scheduler")
        assert "'beat_schedule'" in keys.misspelt("beat_shedule")

    @override_settings(
        TASKS={
            "default": {
                "BACKEND": "dbqueue.backend.DatabaseBackend",
                "QUEUES": ["default", "mail"],
            }
        },
        CELERY_TASK_DEFAULT_QUEUE="mial",
        CELERY_TASK_ROUTES=[
            ("a.*", {"queue": "default"}),
            {"b.*": "pdf", "c.*": {"priority": 3}},
        ],
        DBQUEUE={"COMPAT": {"SPOOLERS": {"/var/spool/x": "slow"}}},
    )
    def test_queues_of_settings_that_tasks_does_not_list_are_told(self, conf):
        told = [str(message) for message in checks.check_queues()]

        assert len(told) == 3
        for words in (
            "task_default_queue names the queue 'mial'",
            "Did you mean 'mail'?",
            "task_routes names the queue 'pdf'",
            "['SPOOLERS'] names the queue 'slow'",
        ):
            assert words in "\n".join(told)

    def test_without_a_list_of_queues_any_is_right(self, conf):
        with override_settings(CELERY_TASK_DEFAULT_QUEUE="mail"):
            assert checks.check_queues() == []

    def test_options_of_an_app_that_there_are_not_are_refused(self):
        with pytest.raises(TypeError, match="Did you mean 'broker'"):
            base.Celery(brokr="redis://")


CODE = {
    "core/celery.py": """
        import celery.schedules  # a comment
        from celery import Celery, chain
        from celery.signals import task_failure, heartbeat_sent

        app = Celery("core")
        app.conf.task_serializer = "pickle"
        app.conf.beat_schedule = {}
        app.conf.task_always_eagr = True


        @app.task(bind=True, rate_limit="10/m", time_limie=300, acks_late=True)
        def one(self):
            self.retry(countdown=1, queue="x")
            one.apply_async(queue="pdf")
            chain(one.s(1), one.si())()
            return one.s(1) | one.s(2)
    """,
    "core/tasks.py": """
        from celery import shared_task
        from celery.worker.request import Request
        from .celery import app
        import os, celery

        class Base(celery.Task):
            abstract = True
            acks_late = True
            queue = "classy"

        @shared_task
        async def later(): ...

        def view():
            later.apply_async(args=[1], countdwn=5, link=later.s())
            app.control.broadcast("x")
            app.control.inspect().active()
    """,
    "core/settings.py": """
        INSTALLED_APPS = ["django_celery_beat"]
        CELERY_BROKER_URL = "redis://"
        CELERY_TASK_ALWAYS_EAGER = True
        CELERY_WORKER_POOL = "gevent"
        CELERY_TASK_ROUTES = {"a.*": {"queue": "mail"}}
    """,
    "core/other.py": "import os\n",
    "Procfile": "web: gunicorn core.wsgi\nworker: celery -A core worker -l info\n",
    "requirements.txt": "django\ncelery[redis]>=5\n# celery\npycelery\n",
    "requirements/base.txt": "django-celery-beat\n",
}


@pytest.fixture
def project(tmp_path):
    for name, text in CODE.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(textwrap.dedent(text).lstrip().replace("\n", "\r\n").encode())
    (tmp_path / "core" / "latin.py").write_bytes(
        "# coding: latin-1\nfrom celery import Task  # é\n".encode("latin-1")
    )
    (tmp_path / "core" / "broken.py").write_text("from celery import (\n")
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "x.py").write_text("import celery\n")
    return tmp_path


def migrate(*arguments):
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(
            "migrate_from_celery", *map(str, arguments), stdout=out, stderr=err
        )
    except SystemExit as error:
        code = error.code
    return code, out.getvalue(), err.getvalue()


class TestCode:
    def test_it_is_read_and_each_file_is_told_of(self, project):
        code, out, err = migrate("--check", project)

        assert code == 1
        assert "broken.py is left out" in err
        assert "other.py" not in out
        assert "venv" not in out
        for words in (
            "misspelt   @task(time_limie=): Did you mean 'time_limit'?",
            "ignored    @task(acks_late=): A job is acknowledged at its end.",
            "refused    celery.chain",
            "refused    a chain by |",
            "refused    conf.task_serializer",
            "misspelt   conf.task_always_eagr: Did you mean 'task_always_eager'?",
            "ignored    celery.signals.heartbeat_sent",
            "refused    retry(queue=)",
            "refused    import of celery.worker.request: There is no "
            "dbqueue.compat.celery.worker.request. A worker has no parts of others.",
            "refused    @shared_task of async def later()",
            "misspelt   apply_async(countdwn=): Did you mean 'countdown'?",
            "refused    broadcast()",
            "refused    'django_celery_beat'",
            "refused    CELERY_WORKER_POOL",
            "ignored    CELERY_BROKER_URL: There is no broker.",
            "ignored    Base.acks_late: A job is acknowledged at its end.",
            "By hand: start manage.py runworker, once, where these start Celery:\n"
            f"  {project}/Procfile:2: worker: celery -A core worker",
            "require dbqueue-django",
            "requirements.txt:2: celery[redis]>=5",
            "base.txt:1: django-celery-beat",
            "By hand: what is refused or misspelt above.",
        ):
            assert words in out, words
        assert "refused    active()" not in out
        assert "--write would change the imports of 3 files." in out
        assert (project / "core/celery.py").read_bytes().startswith(b"import celery")

    def test_imports_are_written_anew_and_nothing_else(self, project):
        before = (project / "core/celery.py").read_bytes()

        code, out, _ = migrate("--write", project)

        assert code == 0
        after = (project / "core/celery.py").read_bytes()
        assert after == before.replace(
            b"import celery.schedules  # a comment",
            b"from dbqueue.compat import celery  # a comment",
        ).replace(b"from celery", b"from dbqueue.compat.celery")
        lines = (project / "core/tasks.py").read_text().splitlines()
        assert lines[:5] == [
            "from dbqueue.compat.celery import shared_task",
            "from celery.worker.request import Request",
            "from .celery import app",
            "import os",
            "from dbqueue.compat import celery",
        ]
        latin = (project / "core/latin.py").read_bytes()
        assert latin == (
            "# coding: latin-1\nfrom dbqueue.compat.celery import Task  # é\n"
        ).encode("latin-1")
        assert "The imports of 3 files were changed." in out

    def test_after_the_move_what_is_left_is_told(self, project):
        def refused(said):
            # One import has become two lines.
            lines = [line[8:] for line in said.splitlines()]
            return [line for line in lines if line.startswith("refused")]

        before = migrate("--write", project)[1]

        code, after, _ = migrate("--check", project)

        assert code == 1
        assert "No import is left to be changed." in after
        assert "refused    celery.chain" in "\n".join(refused(before))
        assert refused(after) == refused(before)

    def test_a_project_that_is_moved_has_nothing_left(self, tmp_path):
        (tmp_path / "a.py").write_text(
            "from celery import shared_task\n\n"
            "@shared_task(acks_late=True)\ndef a(): ...\n"
        )

        assert "would change the imports of 1 file." in migrate("--check", tmp_path)[1]
        migrate("--write", tmp_path)
        code, out, _ = migrate("--check", tmp_path)

        assert code == 0
        assert "No import is left to be changed." in out
        assert "the code is moved." in out

    @override_settings(
        TASKS={
            "default": {
                "BACKEND": "dbqueue.backend.DatabaseBackend",
                "QUEUES": ["default", "mail"],
            }
        }
    )
    def test_queues_that_tasks_does_not_list_are_told(self, tmp_path):
        (tmp_path / "a.py").write_text(
            "from celery import Task, shared_task\n\n"
            "class Base(Task):\n    queue = 'classy'\n\n"
            "@shared_task(queue='tasks')\ndef x(): ...\n\n"
            "x.apply_async(queue='mail')\n"
        )
        (tmp_path / "b.py").write_text(
            "CELERY_TASK_ROUTES = {'a.*': {'queue': 'pdf'}, 'b.*': 'sms'}\n"
            "CELERY_TASK_DEFAULT_QUEUE = 'default'\n"
        )

        code, out, _ = migrate("--check", tmp_path)

        assert code == 1
        assert (
            "add to QUEUES of TASKS['default']: 'classy', 'pdf', 'sms', 'tasks'." in out
        )

    def test_an_import_that_shares_its_line_is_left_to_people(self, tmp_path):
        text = "import os; import celery\nif os: from celery import Task\n"
        (tmp_path / "a.py").write_text(text)

        _, out, _ = migrate("--write", tmp_path)

        assert (tmp_path / "a.py").read_text() == text
        assert out.count("Write it by hand") == 2

    def test_a_path_that_is_not_there_is_told(self, tmp_path):
        with pytest.raises(CommandError, match="There is no file or folder"):
            migrate("--check", tmp_path / "nowhere")

    def test_code_of_dbqueue_has_nothing_of_celery(self, tmp_path):
        (tmp_path / "a.py").write_text("from dbqueue import task\n")

        assert migrate("--check", tmp_path)[:2] == (0, "Nothing of Celery was found.\n")


@pytest.fixture
def theirs(db):
    """Make the tables of Celery's packages, as they are."""
    models = (
        *(tables.Interval, tables.Crontab, tables.Clocked, tables.PeriodicTask),
        tables.TaskResult,
    )
    # Without its own transaction, which SQLite wants to begin outside of the test's.
    editor = connection.SchemaEditorClass(connection, collect_sql=True)
    editor.deferred_sql = []
    for model in models:
        editor.create_model(model)
    with connection.cursor() as cursor:
        for statement in [*editor.collected_sql, *map(str, editor.deferred_sql)]:
            cursor.execute(statement)


def periodic(**values):
    given = {"args": "[1]", "kwargs": "{}", "one_off": False, "enabled": True}
    given |= {
        "total_run_count": 0,
        "headers": "{}",
        "description": "",
        "task": tasks.add.name,
    }
    return tables.PeriodicTask._default_manager.create(**(given | values))


def bring(*arguments):
    out = io.StringIO()
    call_command("import_celery", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
class TestImport:
    @shows(
        "django_celery_beat",
        "django_celery_results",
        status="differs",
        how="`manage.py import_celery` takes over their rows.",
    )
    def test_periodic_tasks_become_schedules(self, theirs):
        every = tables.Interval._default_manager.create(every=10, period="minutes")
        short = tables.Interval._default_manager.create(every=10, period="microseconds")
        nightly = tables.Crontab._default_manager.create(
            minute="30",
            hour="3",
            day_of_month="*",
            month_of_year="*",
            day_of_week="mon-fri",
            timezone="Europe/Berlin",
        )
        moment = datetime(2030, 1, 1, tzinfo=UTC)
        once = tables.Clocked._default_manager.create(clocked_time=moment)
        periodic(name="ten", interval=every, args="[1]", kwargs='{"b": 2}', queue="q")
        periodic(name="night", crontab=nightly, enabled=False, expire_seconds=60)
        periodic(name="once", clocked=once, one_off=True, task="short.name", args="[]")
        periodic(name="short", interval=short)
        periodic(name="sun", solar_id=1)
        periodic(name="gone", interval=every, task="not.there")
        periodic(name="many", interval=every, args="[1, 2, 3]")
        periodic(name="cleanup", interval=every, task="celery.backend_cleanup")

        dry = bring("--dry-run")
        assert not Schedule.objects.exists()
        said = bring()

        assert dry.replace("Nothing was written.\n", "") == said
        rows = {row.name: row for row in Schedule.objects.all()}
        assert rows.keys() == {"ten", "night", "once"}
        assert rows["ten"].cadence == Every(timedelta(minutes=10))
        assert (rows["ten"].args, rows["ten"].kwargs) == ({"typed": [1]}, {"b": 2})
        assert (rows["ten"].queue_name, rows["ten"].overlap) == ("q", "allow")
        assert rows["night"].cadence == Cron(
            "30 3 * * 1-5", timezone="Europe/Berlin", both_days=True
        )
        assert (rows["night"].enabled, rows["night"].expires) == (False, 60)
        assert (rows["once"].cadence, rows["once"].max_runs) == (At(moment), 1)
        for name, words in {
            "short": "an interval is a second or longer",
            "sun": "no sunrise",
            "gone": "There is no task 'not.there'",
            "many": "too many positional arguments",
            "cleanup": "workers prune",
        }.items():
            assert any(f"'{name}'" in li and words in li for li in said.splitlines())
        assert "there is a schedule of this name" in bring()

    def test_those_that_beat_has_copied_from_the_code_are_left_to_it(
        self, theirs, monkeypatch
    ):
        every = tables.Interval._default_manager.create(every=10, period="minutes")
        periodic(name="in code", interval=every)
        periodic(name="off", interval=every, enabled=False)
        for name in ("in code", "off"):
            entry = Entry(tasks.add.name, 60.0, [1])
            monkeypatch.setitem(added, name, entry)

        said = bring()

        assert not Schedule.objects.exists()
        assert "'in code': left out: the code declares it\n" in said
        assert "'off': left out: the code declares it; it was off" in said

    def test_results_become_the_history(self, theirs):
        now = datetime(2026, 11, 1, tzinfo=UTC)
        ids = [str(uuid4()) for _ in range(4)]
        for id, status, result, more in (
            (ids[0], "SUCCESS", '{"pages": 3}', {"task_args": "\"(1, 'a')\""}),
            (
                ids[1],
                "FAILURE",
                json.dumps({"exc_type": "ValueError", "exc_message": ["no luck"]}),
                {"traceback": "Traceback\nValueError: no luck"},
            ),
            (ids[2], "STARTED", None, {}),
            ("order-17", "REVOKED", "null", {"task_args": '"(<object at 0x1>..."'}),
        ):
            tables.TaskResult._default_manager.create(
                task_id=id,
                task_name=tasks.add.name,
                status=status,
                result=result,
                worker="celery@host",
                date_created=now,
                date_done=now,
                **more,
            )

        assert "1 CANCELLED, 1 FAILED, 1 SUCCESSFUL, 1 unfinished" in bring("--dry-run")
        assert not FinishedJob.objects.exists()
        bring()
        assert "3 known, 1 unfinished" in bring()

        done, failed = AsyncResult(ids[0]), AsyncResult(ids[1])
        assert (done.state, done.result, done.args) == (
            *("SUCCESS", {"pages": 3}, [1, "a"]),
        )
        assert (failed.state, str(failed.result)) == ("FAILURE", "no luck")
        assert isinstance(failed.result, ValueError)
        assert AsyncResult("order-17").state == "REVOKED"
        assert AsyncResult(ids[2]).state == "PENDING"

    def test_without_their_tables_nothing_is_done(self):
        assert "Results: none" in bring()

    def test_messages_of_a_broker_are_counted_and_left_there(self):
        kombu = pytest.importorskip("kombu", reason="SKIPPED LOUDLY: no kombu")
        with kombu.Connection("memory://") as broker:
            queue = broker.SimpleQueue("celery")
            queue.put({"a": 1})
            said = list(messages.told("memory://", ["celery", "mail"]))

        assert said[0] == "1 messages wait in 'celery' of the broker at memory://."
        assert "not imported" in said[1]
        gone = list(messages.told("redis://:secret@127.0.0.1:1/0", ["celery"]))
        assert "secret" not in str(gone)
        assert "does not answer" in gone[0]

    def test_without_a_broker_none_is_asked(self):
        assert "No broker is named" in bring()
