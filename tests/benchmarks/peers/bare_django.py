"""The bare INSERT by way of Django's cursor: what a queue for Django cannot save."""

from django.db import connection

from dbqueue.ids import uuid7
from tests.benchmarks.peers.bare import INSERT


def enqueue(job, number):
    with connection.cursor() as cursor:
        cursor.execute(INSERT, (uuid7(), f"[{number}]"))
