"""dbqueue by its own functions, as far as two revisions of it have them both."""

from dbqueue import enqueue as write
from tests.benchmarks.peers.django_tasks import enqueue_many, noop

__all__ = ["enqueue", "enqueue_many"]
TASKS = {"noop": noop}


def enqueue(job, number):
    write(TASKS[job], number)
