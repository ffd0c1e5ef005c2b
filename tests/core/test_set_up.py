"""Mistakes of who sets dbqueue up: each is answered by a check, or in one sentence."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import global_settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from dbqueue import enqueue, task
from dbqueue.apps import DbqueueConfig, _demand_driver
from dbqueue.backend import DatabaseBackend
from dbqueue.checks import BACKENDS, check_pool, check_settings, demand_backends
from dbqueue.management import banner
from dbqueue.models import Job, Worker
from dbqueue.tasks.framework import InvalidTaskBackend
from dbqueue.testing import run_jobs
from dbqueue.worker.options import WorkerOptions
from tests import tasks
from tests.settings import BASE
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db(databases="__all__")

OURS = {"BACKEND": BACKENDS[0]}
WITHOUT_THE_APP = """
import django
from django.conf import settings
backport = ["django_tasks"] if django.VERSION < (6, 0) else []
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", *backport],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TASKS={"default": {"BACKEND": "dbqueue.backend.DatabaseBackend"}},
)
django.setup()
from django.core.management import call_command
from dbqueue import enqueue
call_command("check")
"""


def test_without_the_app_the_first_import_says_what_is_missing():
    environment = os.environ | {"PYTHONPATH": str(BASE.parent)}

    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_APP],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    *_, last = run.stderr.splitlines()
    assert last.endswith(
        "'dbqueue' is not in INSTALLED_APPS. Add it, and run: manage.py migrate"
    )


def test_w009_tells_that_without_tasks_no_worker_has_a_part(settings):
    settings.TASKS = getattr(global_settings, "TASKS", {})

    (message,) = check_settings()

    assert message.id == "dbqueue.W009"
    assert "jobs run inside enqueue(), and not in a worker" in message.msg
    assert BACKENDS[0] in message.hint


@pytest.mark.parametrize(
    "path",
    [
        "dbqueue.backends.DatabaseBackend",
        "dbqueue.backend.DatabaseBackand",
        "dbqueue.DatabaseBackend",
        "db_queue.backend.DatabaseBackend",
        "dbqueue",
    ],
)
def test_a_backend_that_is_not_there_is_named_beside_the_nearest(settings, path):
    settings.TASKS = {"default": {"BACKEND": path}}

    with pytest.raises(ImproperlyConfigured) as refused:
        demand_backends()

    assert f"TASKS['default']['BACKEND'] is {path!r}" in str(refused.value)
    assert f"Did you mean {BACKENDS[0]!r}?" in str(refused.value)


@pytest.mark.parametrize(
    "path",
    [
        *BACKENDS,
        "tests.conformance.test_backend.NoAsyncBackend",
        "shop.Own",
        "nonsense",
    ],
)
def test_other_backends_are_no_business_of_ours(settings, path):
    settings.TASKS = {"default": {"BACKEND": path}}

    demand_backends()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([BACKENDS[0]], r"TASKS is \['dbqueue.*a dict of aliases"),
        ({"default": BACKENDS[0]}, r"\['default'\] is 'dbqueue.*a dict, {'BACKEND'"),
        ({"default": OURS | {"QUEUES": "mail"}}, "'QUEUES'] is 'mail'; .* list of nam"),
        ({"default": OURS | {"QUEUES": None}}, "'QUEUES'] is None; .* a list of names"),
        (
            {"default": OURS | {"OPTIONS": ["codec"]}},
            r"'OPTIONS'] is \['codec'\]; .*dict",
        ),
    ],
)
def test_an_entry_of_another_shape_is_shown_as_it_must_be(settings, given, words):
    settings.TASKS = given

    with pytest.raises(ImproperlyConfigured, match=words):
        demand_backends()


@pytest.mark.parametrize("alias", ["dflt", "", 5, None, []])
def test_a_task_of_a_backend_that_is_in_no_entry_says_which_there_are(settings, alias):
    settings.TASKS = {"default": OURS, "other": OURS}

    with pytest.raises(InvalidTaskBackend, match="TASKS has: default, other"):
        task(backend=alias)(tasks.noop.func)
    with pytest.raises(InvalidTaskBackend, match="TASKS has: default, other"):
        run_jobs(backend=alias)


def test_a_missing_driver_is_named_with_the_extra_that_has_it(settings, monkeypatch):
    engine = "django.db.backends.postgresql"
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", engine)
    for name in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(ImproperlyConfigured, match=r"'dbqueue-django\[postgres\]'"):
        _demand_driver()


def test_sqlite_needs_no_driver(settings, monkeypatch):
    engine = "django.db.backends.sqlite3"
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", engine)
    monkeypatch.setitem(sys.modules, "psycopg", None)

    _demand_driver()


def found(id):
    return [m for m in run_checks(databases=["default"]) if m.id == id]


def test_w010_tells_of_a_queue_that_no_live_worker_takes():
    HandWorker("mail")
    Worker.objects.update(queues="mail")
    for queue in ("default", "mail", "other"):
        enqueue(tasks.noop.using(queue_name=queue))
    long_ago = timezone.now() - timedelta(minutes=5)
    Job.objects.exclude(queue_name="other").update(enqueued_at=long_ago)

    (message,) = found("dbqueue.W010")

    assert "Jobs wait in queue 'default' of database 'default'" in message.msg
    assert "manage.py runworker" in message.hint


def test_w010_needs_tables_to_look_into(no_tables):
    assert found("dbqueue.W010") == []


POOLS = [
    (None, 4, []),
    (True, 4, ["holds 4 connections at most; a worker's process of 4 threads uses 5"]),
    (True, 3, []),
    ({"min_size": 2, "max_size": 8}, 8, ["holds 8 connections"]),
    ({"min_size": 2, "max_size": 9}, 8, []),
    ({"min_size": 10}, 8, []),
]


@pytest.mark.parametrize(("pool", "threads", "words"), POOLS)
def test_w011_tells_of_a_pool_that_is_too_small(monkeypatch, pool, threads, words):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", pool)

    messages = list(check_pool("default", threads))

    assert [m.id for m in messages] == ["dbqueue.W011"] * len(words)
    for message, part in zip(messages, words, strict=True):
        assert part in message.msg


@pytest.mark.parametrize("app", ["dbqueue", "dbqueue.apps.DbqueueConfig"])
def test_w012_tells_of_a_queue_for_each_tenant(settings, app):
    settings.SHARED_APPS = ["django_tenants"]
    settings.TENANT_APPS = ["shop", app]

    (message,) = check_settings()

    assert message.id == "dbqueue.W012"
    assert "SHARED_APPS" in message.hint


def test_a_queue_that_all_tenants_share_passes(settings):
    settings.SHARED_APPS, settings.TENANT_APPS = ["dbqueue"], ["shop"]

    assert check_settings() == []
    assert DbqueueConfig.name == "dbqueue"
    call_command("check")


@pytest.mark.usefixtures("only_sqlite")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        (":memory:", "(SQLite, in memory)"),
        ("file:memorydb_default?mode=memory&cache=shared", "(SQLite, in memory)"),
        ("file:/srv/db.sqlite3?mode=rw", "(SQLite, file:/srv/db.sqlite3?mode=rw)"),
        ("db.sqlite3", f"(SQLite, {os.getcwd()}/db.sqlite3)"),
    ],
)
def test_the_first_lines_tell_where_an_sqlite_database_is(monkeypatch, name, words):
    monkeypatch.setitem(connection.settings_dict, "NAME", name)
    options = WorkerOptions(
        database="default", sender=DatabaseBackend, queues=(("*",),)
    )

    assert words in banner.lines(options, reload=False, ask=False)
