"""huey on SQLite."""

import os

from huey import SqliteHuey

from tests.benchmarks import jobs

# By default every commit waits for the disk, which nobody else's on SQLite does.
huey = SqliteHuey(
    filename=os.environ["DATABASE_URL"].removeprefix("sqlite:///"), fsync=False
)
TASKS = {job.__name__: huey.task()(job) for job in (jobs.noop, jobs.sleep)}


def enqueue(job, number):
    TASKS[job](number)


def enqueue_many(job, numbers):
    for number in numbers:
        enqueue(job, number)
