"""Fixtures of the fault suite: what was enqueued, what was measured, what is broken."""

from uuid import UUID

import pytest
from django.db import connection

from dbqueue import enqueue, enqueue_many
from tests import invariants
from tests.faults.meddler import Meddler
from tests.processes import wait_until_empty


class Enqueued:
    """Remembers what was committed, for the question whether all of it is there."""

    def __init__(self, effects):
        self.ids = set()
        self._effects = effects

    def one(self, task, *args):
        result = enqueue(task, *args)
        self.ids.add(result.id)
        return result

    def many(self, task, calls):
        results = enqueue_many(task, list(calls))
        self.ids |= {result.id for result in results}
        return results

    def check(self, **given):
        """Fail unless all invariants hold; see tests.invariants."""
        committed = {UUID(str(id)) for id in self.ids}
        invariants.check(committed=committed, effects=self._effects, **given)

    def drained(self, worker, seconds=60):
        """Wait until all is done, and check it."""
        wait_until_empty(worker, seconds)
        self.check(at_rest=True)


@pytest.fixture
def jobs(effects, transactional_db):
    return Enqueued(effects)


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
