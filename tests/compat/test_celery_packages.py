"""import_celery on what Celery's own Django packages have written, in their tables."""

import io
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from dbqueue.compat.celery.result import AsyncResult
from dbqueue.models import FinishedJob, Schedule
from dbqueue.schedules.times.cadence import At, Cron, Every
from tests.compat import celery_tasks as tasks
from tests.support.processes import MANAGE, NEVER, ROOT, on_demand

PACKAGES = ["django_celery_beat", "django_celery_results"]
pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    on_demand,
    pytest.mark.skipif(
        not all(map(find_spec, PACKAGES)),
        reason="SKIPPED LOUDLY: pip install django-celery-beat django-celery-results",
    ),
]
FILL = """
import django
django.setup()

from datetime import UTC, datetime
from celery import Celery
from django_celery_beat import models as beat

add = "tests.compat.celery_tasks.add"
ten, micro = (
    beat.IntervalSchedule.objects.create(every=10, period=period)
    for period in ("minutes", "microseconds")
)
night = beat.CrontabSchedule.objects.create(
    minute="30", hour="*/6", day_of_month="1-7", month_of_year="*",
    day_of_week="mon-fri", timezone="Europe/Berlin",
)
moment = datetime(2031, 1, 1, tzinfo=UTC)
clocked = beat.ClockedSchedule.objects.create(clocked_time=moment)
sun = beat.SolarSchedule.objects.create(event="sunrise", latitude=48, longitude=16)

def periodic(name, task=add, **values):
    beat.PeriodicTask(name=name, task=task, **{"args": "[1]"} | values).save()

periodic("interval", interval=ten, args="[1]", kwargs='{"b": 2}', queue="mail",
         priority=3, description="words", last_run_at=datetime(2026, 1, 1, tzinfo=UTC))
periodic("crontab", crontab=night, enabled=False, expire_seconds=60)
periodic("clocked", clocked=clocked, one_off=True, task="short.name",
         args="[]")
periodic("has run", clocked=clocked, one_off=True, total_run_count=1)
periodic("ends", interval=ten, start_time=datetime(2030, 1, 1, tzinfo=UTC),
         expires=moment, one_off=True)
periodic("solar", solar=sun)
periodic("micro", interval=micro)
periodic("unknown", interval=ten, task="not.there")
periodic("arguments", interval=ten, args="[1, 2, 3]")
periodic("headers", interval=ten, headers='{"trace": 1}', routing_key="mail")
periodic("celery.backend_cleanup", crontab=night, task="celery.backend_cleanup")

app = Celery("theirs", broker="memory://", backend="django-db")
app.conf.update(result_extended=True, task_store_eager_result=True)

@app.task(name=add)
def added(a, b=1):
    return a + b

@app.task(name="tests.compat.celery_tasks.fail")
def fail(message):
    raise ValueError(message)

added.apply((1,), {"b": 2}, task_id="0d6f5f7c-0000-4000-8000-000000000001")
fail.apply(("no luck",), task_id="0d6f5f7c-0000-4000-8000-000000000002")
app.backend.store_result("running", None, "STARTED")
app.backend.store_result("order-17", None, "REVOKED")
"""


@pytest.fixture
def theirs(start, witness):
    """Have the tables of the packages, made by their migrations, and filled by them."""
    witness.looks_away = True
    given = {"INSTALLED_APPS": [*settings.INSTALLED_APPS, *PACKAGES]}

    def run(command, *arguments):
        process = start(
            [sys.executable, *command], arguments, settings=given, PYTHONPATH=ROOT
        )
        assert process.wait(NEVER) == 0, process.output

    for package in PACKAGES:
        run([MANAGE], "migrate", package, "-v0")
    run(["-c", FILL])
    yield
    # To undo their many migrations would take as long as all the rest.
    cascade = " CASCADE" if connection.vendor == "postgresql" else ""
    names = connection.introspection.table_names()
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for name in (name for name in names if name.startswith("django_celery_")):
            cursor.execute(f'DROP TABLE "{name}"{cascade}')
    MigrationRecorder(connection).migration_qs.filter(app__in=PACKAGES).delete()


def bring(*arguments):
    out = io.StringIO()
    call_command("import_celery", *arguments, stdout=out)
    return out.getvalue()


def test_what_celerys_packages_have_written_is_taken_over_once(theirs):
    dry = bring("--dry-run")
    assert not Schedule.objects.exists()
    assert not FinishedJob.objects.exists()
    said = bring()
    again = bring()

    assert dry.replace("Nothing was written.\n", "") == said
    check_schedules(said)
    check_results(said)
    assert again.count("left out: there is a schedule of this name") == 6
    assert "3 known, 1 unfinished" in again


def check_schedules(said):
    rows = {row.name: row for row in Schedule.objects.all()}
    assert rows.keys() == {
        *("interval", "crontab", "clocked", "has run", "ends", "headers")
    }
    ten = rows["interval"]
    assert ten.cadence == Every(timedelta(minutes=10))
    assert (ten.task, ten.args, ten.kwargs) == (
        *(tasks.add.path, {"typed": [1]}, {"b": 2}),
    )
    assert (ten.queue_name, ten.priority, ten.description) == ("mail", 3, "words")
    assert (ten.enabled, ten.expires, ten.max_runs, ten.overlap) == (
        *(True, None, None, "allow"),
    )
    night = rows["crontab"]
    assert night.cadence == Cron(
        "30 */6 1-7 * 1-5", timezone="Europe/Berlin", both_days=True
    )
    assert (night.enabled, night.expires) == (False, 60)
    moment = datetime(2031, 1, 1, tzinfo=UTC)
    once = rows["clocked"]
    assert (once.cadence, once.max_runs, once.task) == (At(moment), 1, tasks.named.path)
    assert not rows["has run"].enabled
    ends = rows["ends"]
    assert (ends.starts_at, ends.ends_at, ends.max_runs) == (
        *(datetime(2030, 1, 1, tzinfo=UTC), moment, 1),
    )
    lines = {line.split("'")[1]: line for line in said.splitlines() if "'" in line}
    for name, words in {
        "crontab": "switched off",
        "has run": "switched off",
        "solar": "no sunrise",
        "micro": "an interval is a second or longer",
        "unknown": "There is no task 'not.there'",
        "arguments": "not imported: ",
        "headers": "without its headers, routing_key",
        "celery.backend_cleanup": "workers prune",
    }.items():
        assert words in lines[name], lines[name]


def check_results(said):
    assert "1 CANCELLED, 1 FAILED, 1 SUCCESSFUL, 1 unfinished" in said
    done = AsyncResult("0d6f5f7c-0000-4000-8000-000000000001")
    assert (done.state, done.result, done.args, done.kwargs) == (
        *("SUCCESS", 3, [1], {"b": 2}),
    )
    assert done.name == tasks.add.path
    failed = AsyncResult("0d6f5f7c-0000-4000-8000-000000000002")
    assert (failed.state, str(failed.result)) == ("FAILURE", "no luck")
    assert isinstance(failed.result, ValueError)
    assert "ValueError: no luck" in failed.traceback
    assert AsyncResult("order-17").state == "REVOKED"
    assert AsyncResult("running").state == "PENDING"
