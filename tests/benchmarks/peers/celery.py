"""Celery with Redis as broker and for results."""

import os

from celery import Celery

from tests.benchmarks import jobs

_url = os.environ["DATABASE_URL"].replace("unix:", "redis+socket:")
app = Celery(broker=_url, backend=_url)
app.conf.worker_prefetch_multiplier = 64
noop = app.task(name="noop")(jobs.noop)


def enqueue(job, number):
    noop.delay(number)


def enqueue_many(job, numbers):
    for number in numbers:
        enqueue(job, number)
