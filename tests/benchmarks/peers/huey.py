"""huey on SQLite."""

import os

from huey import SqliteHuey

from tests.benchmarks import jobs

huey = SqliteHuey(filename=os.environ["DATABASE_URL"].removeprefix("sqlite:///"))
TASKS = {job.__name__: huey.task()(job) for job in (jobs.noop, jobs.sleep)}


def enqueue(job, number):
    TASKS[job](number)


def enqueue_many(job, numbers):
    for number in numbers:
        enqueue(job, number)
