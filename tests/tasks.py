"""Tasks that the suite enqueues."""

import time

from dbqueue import task


@task
def noop(*args, **kwargs):
    return None


@task
def add(a, b):
    return a + b


@task
def snooze(seconds):
    time.sleep(seconds)
    return seconds


@task
async def aadd(a, b):
    return a + b


@task(max_attempts=2, backoff=0.2)
def fail():
    raise ValueError("no luck")
