"""dbqueue and django-tasks-db: the same tasks, on the backend of the settings."""

import os

import django
from django.db import connection, transaction

from tests.benchmarks import jobs
from tests.benchmarks.peers import PEERS

if "dbqueue" in PEERS[os.environ["PEER"]].settings["INSTALLED_APPS"]:
    from dbqueue import enqueue_many as write_many
    from dbqueue import task
else:
    if django.VERSION >= (6, 0):
        from django.tasks import task
    else:
        from django_tasks import task

    def write_many(made, calls):
        with transaction.atomic():
            for call in calls:
                made.enqueue(*call)


@task
def noop(number):
    return jobs.noop(number)


@task
def sleep(number):
    return jobs.sleep(number)


@task
async def asleep(number):
    return await jobs.asleep(number)


@task
def photo(number):
    return jobs.photo(number, connection.cursor)


def enqueue(job, number):
    globals()[job].enqueue(number)


def enqueue_many(job, numbers):
    write_many(globals()[job], [(number,) for number in numbers])


def enqueue_in_four_queues(numbers):
    """Write a quarter of the jobs to each of four queues, the least urgent first."""
    for level in range(4):
        made = noop.using(queue_name=f"urgency-{level}", priority=10 * level)
        write_many(made, [(number,) for number in numbers[level::4]])


begin = transaction.atomic
