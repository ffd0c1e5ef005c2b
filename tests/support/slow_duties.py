"""An app whose duties take longer than a lease together, as over a slow network."""

import time
from functools import partial

from django.apps import AppConfig

LEASE = 3.0  # seconds, as the worker is to have it
COUNT = 8


class SlowDuties(AppConfig):
    name = "tests.support"

    def ready(self):
        from dbqueue.maintenance import duties

        for number in range(COUNT):
            duties.register(LEASE, partial(take_long, number))


def take_long(number, alias):
    from tests.support.worker_tasks import effect

    time.sleep(1.6 * LEASE / COUNT)
    effect("done", f"duty {number}")
