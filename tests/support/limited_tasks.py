"""Tasks with limits of each kind, for tests/limits."""

import time

from dbqueue import Fair, Limit, task
from tests.support.worker_tasks import effect


@task(limit=Limit("one", key="user", concurrency=1))
def one(user, text=""):
    return text


@task(limit=Limit("two", concurrency=2))
def two(text=""):
    return text


@task(limit=Limit("ten", concurrency=10))
def ten(text=""):
    return text


@task(limit=Limit("paced", rate=10, per=3600, burst=3))
def paced(text=""):
    return text


@task(limit=Limit("order", key="order", ordered=True), max_attempts=3, backoff=60)
def step(order, text=""):
    return text


@task(fair=Fair("tenants", key="tenant"))
def share(tenant, text=""):
    return text


@task(fair=Fair("weighed", key="tenant", weight={"big": 3}))
def weighed(tenant, text=""):
    return text


@task(limit=Limit("each", key="tenant", concurrency=1), fair=Fair(key="tenant"))
def each(tenant, text=""):
    return text


@task(limit=Limit("all of them", concurrency=4), fair=Fair(key="tenant"))
def together(tenant, text=""):
    return text


@task(limit=Limit("few", key=lambda key, seconds=0: key[:1] or None, concurrency=2))
def busy(key, seconds=0.0):
    effect("began", key)
    time.sleep(seconds)
    effect("ended", key)


@task(limit=Limit("brisk", rate=50, burst=5))
def brisk(text=""):
    return text
