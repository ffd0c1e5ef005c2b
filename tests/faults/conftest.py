"""Fixtures of the fault suite: what was enqueued, what was measured, what is broken."""

from uuid import UUID

import pytest
from django.db import connection

from dbqueue import enqueue, enqueue_many
from tests.faults.meddler import Meddler
from tests.support.processes import PATIENCE, wait_until_empty


class Jobs:
    """Enqueues, and asks whether all is as it must be."""

    def __init__(self, witness):
        self._witness = witness

    def one(self, task, *args):
        return enqueue(task, *args)

    def many(self, task, calls):
        return enqueue_many(task, list(calls))

    def adopt(self, id):
        """Count a job that another process has enqueued among those committed."""
        self._witness.ids.add(UUID(id))

    def excuse(self, keys):
        """Let jobs run again without a record: it was lost with a fault."""
        self._witness.excused |= set(keys)

    def check(self, **given):
        """Fail unless all invariants hold; see tests.support.invariants."""
        self._witness.check(**given)

    def drained(self, worker, seconds=PATIENCE):
        """Wait until all is done, and check it."""
        wait_until_empty(worker, seconds)
        self.check(at_rest=True)


@pytest.fixture
def jobs(witness):
    return Jobs(witness)


@pytest.fixture
def meddler(only_postgres, database_address):
    meddler = Meddler(database_address)
    yield meddler
    meddler.close()


@pytest.fixture
def alter_database(only_postgres, transactional_db):
    """Return a function that sets a default of the test's database for new sessions."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    changed = set()

    def alter(parameter, value):
        changed.add(parameter)
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} SET {parameter} = %s", [value])

    yield alter
    with connection.cursor() as cursor:
        for parameter in changed:
            cursor.execute(f"ALTER DATABASE {name} RESET {parameter}")
