"""A plugin by which the tests of django-q2's own wheel run on dbqueue's broker."""

import os

import pytest
from django.db import connections

# A cluster is forked from the test, and closes what it inherits: of PostgreSQL that
# would end the test's own session.
os.register_at_fork(before=connections.close_all)

# These are of other brokers, of Redis, or count what Redis costs.
LEFT = {
    "test_redis": "asks for a Redis that is not there",
    "test_custom": "names the broker of Redis",
    "test_redis_connection": "asks Redis",
    "test_sqs": "asks SQS",
    "test_recycle": "counts statements with a broker that needs none",
}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.originalname in LEFT:
            item.add_marker(pytest.mark.skip(reason=LEFT[item.originalname]))
        elif item.get_closest_marker("django_db"):
            # Their clusters are processes: Redis had no transaction to look into.
            real = pytest.mark.django_db(transaction=True)
            item.add_marker(real, append=False)
