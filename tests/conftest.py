"""Fixtures of the whole suite; the header says on which database it runs."""

import logging
import platform
import signal

import django
import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings

from dbqueue.models import FinishedJob, Job
from dbqueue.pytest_plugin import dbqueue  # noqa: F401  there without installing, too
from tests.settings import url
from tests.support.tables import empty_quickly
from tests.support.workers import HandWorker


def pytest_configure():
    empty_quickly()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # What a script runs in its background: Ctrl-C would end no program of a test.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header():
    engine = settings.DATABASES["default"]["ENGINE"].rpartition(".")[2]
    return (
        f"dbqueue on {engine}, Django {django.__version__}, "
        f"Python {platform.python_version()}"
    )


@pytest.fixture
def database_url(transactional_db):
    """Return the DATABASE_URL for a process that works on the test's database."""
    return url(connection.settings_dict)


@pytest.fixture
def only_postgres():
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL only")


@pytest.fixture
def only_sqlite():
    if connection.vendor != "sqlite":
        pytest.skip("SQLite only")


@pytest.fixture
def single_attempt():
    """Let a job fail for good at its first failure."""
    with override_settings(DBQUEUE={"MAX_ATTEMPTS": 1}):
        yield


@pytest.fixture
def quiet():
    """Log nothing: a parallel run could not hand on a text that is not valid."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def worker(db):
    """Return a worker that claims and settles only when the test says so."""
    return HandWorker()


@pytest.fixture
def no_tables(transactional_db):
    """Take the tables of the jobs away, as if migrations were not applied."""
    with connection.schema_editor() as editor:
        for model in (Job, FinishedJob):
            editor.alter_db_table(model, model._meta.db_table, model.__name__)
    yield
    with connection.schema_editor() as editor:
        for model in (Job, FinishedJob):
            editor.alter_db_table(model, model.__name__, model._meta.db_table)
