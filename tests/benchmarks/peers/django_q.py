"""django-q2, its jobs and results in the project's database."""

from django.db import transaction
from django_q.tasks import async_task


def enqueue(job, number):
    async_task(f"tests.benchmarks.jobs.{job}", number)


@transaction.atomic
def enqueue_many(job, numbers):
    for number in numbers:
        enqueue(job, number)
