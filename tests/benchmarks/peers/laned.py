"""dbqueue with limits; the plain job is beside them."""

import time

from dbqueue import Fair, Limit, task
from dbqueue import enqueue as write
from dbqueue import enqueue_many as write_many
from tests.benchmarks import jobs


@task
def noop(number):
    return jobs.noop(number)


@task(limit=Limit("thousand", key=lambda number: number % 1000, concurrency=1))
def thousand(number):
    return jobs.noop(number)


@task(limit=Limit("many", key=lambda number: number % 100_000, concurrency=1))
def many(number):
    return jobs.noop(number)


@task(limit=Limit("ten", concurrency=10))
def ten(number):
    return jobs.noop(number)


@task(fair=Fair("tenants", key="tenant"))
def shared(number, tenant):
    return jobs.noop(number)


TASKS = {task.name: task for task in (noop, thousand, many, ten)}


def enqueue(job, number):
    write(TASKS[job], number)


def enqueue_lane(job, number):
    write(thousand, number)


def enqueue_shared(numbers, tenant):
    """Write jobs of a tenant, in one call; return when it came back."""
    write_many(shared, [(number, tenant) for number in numbers])
    return time.monotonic()


def enqueue_many(job, numbers):
    write_many(TASKS[job], [(number,) for number in numbers])
