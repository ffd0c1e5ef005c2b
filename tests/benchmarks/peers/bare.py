"""What the drivers alone take, on the tables of dbqueue: the limit for any queue.

python -m tests.benchmarks.peers.bare: a worker that listens, claims one and stamps.
"""

import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import psycopg

from dbqueue.ids import hex7s, uuid7
from tests.benchmarks import jobs

URL = os.environ["DATABASE_URL"]
SQLITE = URL.startswith("sqlite")
COLUMNS = """id, args, task, queue_name, priority, backend, state, attempt, failures,
    max_attempts, kwargs, context, attempt_log, enqueued_at"""
OTHERS = f"""'bare.noop', 'default', 0, 'default', 'READY', 0, 0, 5, '{{}}', '{{}}',
    '[]', {"datetime()" if SQLITE else "now()"}"""
INSERT = f"INSERT INTO dbqueue_job ({COLUMNS}) VALUES (%s, %s, {OTHERS})"
UNNEST = f"""INSERT INTO dbqueue_job ({COLUMNS})
    SELECT id, args, {OTHERS} FROM unnest(%s::uuid[], %s::jsonb[]) AS job(id, args)"""
CLAIM = """UPDATE dbqueue_job SET state = 'RUNNING', attempt = attempt + 1
    WHERE id = (SELECT id FROM dbqueue_job WHERE state = 'READY'
                ORDER BY queue_name, priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING args"""


@cache
def connection():
    if SQLITE:
        made = sqlite3.connect(URL.removeprefix("sqlite:///"), isolation_level=None)
        made.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL")
        return made
    return psycopg.connect(URL, autocommit=True)


def enqueue(job, number):
    if SQLITE:
        row = (uuid7().hex, f"[{number}]")
        connection().execute(INSERT.replace("%s", "?"), row)
    else:
        connection().execute(INSERT, (uuid7(), f"[{number}]"))


def enqueue_many(job, numbers):
    arguments = [f"[{number}]" for number in numbers]
    connection().execute(UNNEST, (hex7s(len(numbers)), arguments))


def enqueue_and_notify(job, number):
    with connection().transaction():
        enqueue(job, number)
        connection().execute("NOTIFY bare")


def begin():
    return connection().transaction()


def work():
    connection().execute("LISTEN bare")
    while True:
        while claimed := connection().execute(CLAIM).fetchone():
            jobs.noop(*claimed[0])
        next(connection().notifies(stop_after=1))


def photos(count, threads=2):
    """Make the pictures without a queue; return how many a second."""

    def share(first):
        with psycopg.connect(URL, autocommit=True) as own:
            for number in range(first, count, threads):
                jobs.photo(number, own.cursor)

    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(share, range(threads)))
    return count / (time.monotonic() - began)


if __name__ == "__main__":
    work()
