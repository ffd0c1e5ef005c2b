"""What waits in the stores of django-tasks-db, procrastinate and huey, moved here."""

import json
import pickle
import sqlite3
from collections import namedtuple
from contextlib import closing
from datetime import datetime, timedelta
from io import StringIO
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from dbqueue.compat.moving import procrastinate, tasks_db
from dbqueue.models import Job
from dbqueue.testing import run_jobs

PATH = "tests.compat.q2_shim_tasks.count_letters"
NO_MOMENT = timezone.now().replace(year=9999, month=1, day=1)


def move(name, *options):
    out = StringIO()
    call_command(f"import_{name}", *options, "--json", stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def outcomes(items):
    return [item["outcome"] for item in items]


@pytest.fixture
def table(transactional_db):
    """Return a function that makes the table of another queue."""
    made = []

    def make(model):
        with connection.schema_editor() as editor:
            editor.create_model(model)
        made.append(model)
        return model._default_manager

    yield make
    for model in made:
        with connection.schema_editor() as editor:
            editor.delete_model(model)


def result(**values):
    given = {
        "id": uuid4(),
        "status": "READY",
        "priority": 5,
        "task_path": PATH,
        "queue_name": "default",
        "run_after": NO_MOMENT,
        "enqueued_at": timezone.now(),
        "args_kwargs": {"args": ["Ada"], "kwargs": {}},
    }
    return given | values


def test_jobs_of_django_tasks_db_keep_their_ids(table):
    rows = table(tasks_db.Result)
    later = timezone.now() + timedelta(hours=1)
    one = rows.create(**result())
    two = rows.create(**result(run_after=later, queue_name="mail"))
    rows.create(**result(status="SUCCESSFUL"))
    rows.create(**result(task_path="math.floor"))

    tried = move("tasks_db", "--dry-run")
    moved = move("tasks_db")
    again = move("tasks_db")

    assert sorted(outcomes(tried)) == sorted(outcomes(moved))
    assert sorted(outcomes(moved)) == ["left", "moved", "moved"]
    assert outcomes(again) == ["left"]
    assert Job.objects.get(pk=one.pk).priority == 5
    assert Job.objects.get(pk=two.pk).run_after == later
    assert rows.count() == 2
    assert run_jobs()


def test_jobs_of_procrastinate_are_moved_once(table):
    rows = table(procrastinate.Waiting)
    for status, lock in (("todo", None), ("todo", "ada"), ("doing", None)):
        rows.create(
            queue_name="default",
            task_name=PATH,
            priority=0,
            lock=lock,
            args={"name": "Ada"},
            status=status,
        )

    plain, locked = move("procrastinate")

    assert outcomes([plain, locked]) == ["moved", "moved"]
    assert "lock is not kept" in locked["note"]
    assert [job.kwargs for job in Job.objects.all()] == [{"name": "Ada"}] * 2
    assert move("procrastinate") == []


def test_a_database_without_the_table_says_so(db):
    with pytest.raises(CommandError, match="no table procrastinate_jobs"):
        call_command("import_procrastinate")


Message = namedtuple(
    "Message",
    "id name eta retries retry_delay priority args kwargs on_complete on_error "
    "expires expires_resolved",
)
Message.__module__ = "huey.registry"


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("it was opened",)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Return a file of huey's, and a function that puts messages there."""
    import sys
    from types import ModuleType

    path = tmp_path / "huey.db"
    module = ModuleType("huey.registry")
    module.Message = Message
    monkeypatch.setitem(sys.modules, "huey", ModuleType("huey"))
    monkeypatch.setitem(sys.modules, "huey.registry", module)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE task (id INTEGER PRIMARY KEY, queue TEXT, data BLOB,"
            " priority REAL)"
        )
        db.execute(
            "CREATE TABLE schedule (id INTEGER PRIMARY KEY, queue TEXT, data BLOB,"
            " timestamp REAL)"
        )

    def put(table, *, args=("Ada",), eta=None, then=None, id=None, expires=None):
        values = (id or str(uuid4()), PATH, eta, 0, 0, None, args, {}, then, None)
        message = Message(*values, expires, expires)
        last = "priority" if table == "task" else "timestamp"
        with closing(sqlite3.connect(path)) as db, db:
            sql = f"INSERT INTO {table} (queue, data, {last}) VALUES ('huey', ?, 0)"
            db.execute(sql, [pickle.dumps(message)])

    put.path = path
    return put


def test_what_huey_keeps_is_moved_without_calling_what_stands_there(
    store, transactional_db
):
    id = str(uuid4())
    store("task", id=id, expires=datetime(2030, 1, 1))
    store("task", args=(Bomb(),))
    store("task", then=Message(*["x"] * 12))
    store("schedule", eta=(timezone.now() + timedelta(hours=1)).replace(tzinfo=None))

    items = move("huey", str(store.path))

    assert outcomes(items) == ["moved", "left", "left", "moved"]
    assert "which is not opened" in items[1]["note"]
    assert "another task follows" in items[2]["note"]
    kept = Job.objects.get(pk=UUID(id))
    assert (kept.state, kept.expires_at.year) == ("READY", 2030)
    assert Job.objects.get(state="SCHEDULED")
    assert outcomes(move("huey", str(store.path))) == ["left", "left"]


def test_a_file_that_is_none_of_hueys_is_told(tmp_path, db):
    with pytest.raises(CommandError, match="There is no file"):
        call_command("import_huey", str(tmp_path / "huey.db"))
    sqlite3.connect(tmp_path / "other.db").close()
    (tmp_path / "other.db").write_bytes(b"")
    with pytest.raises(CommandError, match="no file of huey's"):
        call_command("import_huey", str(tmp_path / "other.db"))
