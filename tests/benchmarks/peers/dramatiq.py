"""Dramatiq with Redis; it keeps no results unless asked."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.benchmarks import jobs

dramatiq.set_broker(RedisBroker(url=os.environ["DATABASE_URL"]))
noop = dramatiq.actor(jobs.noop)


def enqueue(job, number):
    noop.send(number)


def enqueue_many(job, numbers):
    for number in numbers:
        enqueue(job, number)
