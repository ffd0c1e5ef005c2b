"""Tasks that are unique, expire, were renamed, or say how long they are kept."""

import os
from datetime import timedelta

from dbqueue import Limit, Retry, Unique, task


@task(unique=Unique(key="number"))
def report(number, note=""):
    return f"{number} {note}".strip()


@task(unique=Unique(key="number", on_conflict="raise"))
def strict(number, note=""):
    return number


@task(unique=Unique(key="number", until="started"))
def once_waiting(number, note=""):
    return number


@task(unique=Unique(key="number", until="started", on_conflict="raise"))
def strict_waiting(number, note=""):
    return number


@task(unique=Unique(key="number", on_conflict="replace"))
def latest(number, note=""):
    return note


@task(unique=Unique(key="number", debounce=30, max_wait=timedelta(minutes=1)))
def debounced(number, note=""):
    return note


@task(unique=Unique(key="number", throttle=60))
def throttled(number, note=""):
    return number


@task(unique=Unique(key="number", throttle=60, on_conflict="raise"))
def strict_throttled(number, note=""):
    return number


@task(unique=Unique(key="number", cooldown=60))
def cooled(number, note=""):
    return number


@task(unique=Unique(key="number", cooldown=60), max_attempts=1)
def cooled_failing(number):
    raise ValueError("no luck")


@task(unique=Unique())
def of_all(number, *, note="none"):
    return number


@task(unique=Unique(key=[]))
def alone(number=0):
    return number


@task(unique=Unique("shared", key="number"))
def shared_one(number):
    return number


@task(unique=Unique("shared", key="number"))
def shared_two(number):
    return number


@task(unique=Unique(key=lambda number, note="": None if number is None else note))
def by_function(number, note=""):
    return number


@task(unique=Unique(key=lambda number: 1 // number))
def by_broken_function(number):
    return number


@task(unique=Unique(key="user"), codec="typed")
def for_instance(user):
    return None


@task(unique=Unique(key="number"), takes_context=True)
def with_context(context, number):
    return number


@task(unique=Unique(key="name"))
def named(**kwargs):
    return kwargs


# Of races: in `folder` each run leaves a file, and so finds another of its key.
@task(unique=Unique(key="number"), max_attempts=50, backoff=0)
def racing(number, folder, count):
    path = f"{folder}/{number}"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    try:
        fail_now_and_then(path, count)
    finally:
        os.unlink(path)


@task(unique=Unique(key="number", cooldown=0.05), max_attempts=50, backoff=0)
def racing_cooled(number, folder, count):
    racing.func(number, folder, count)


@task(unique=Unique(key="number", until="started"), max_attempts=50, backoff=0)
def racing_waiting(number, folder, count):
    fail_now_and_then(f"{folder}/{number}", count)


@task(unique=Unique(key="number", on_conflict="replace"), max_attempts=50, backoff=0)
def racing_replaced(number, folder, count):
    fail_now_and_then(f"{folder}/{number}", count)


def fail_now_and_then(path, count):
    if count % 3 and not os.path.exists(f"{path}-{count}"):
        open(f"{path}-{count}", "w").close()
        raise (ValueError if count % 3 == 1 else Retry)("no luck")


@task(expires=60)
def for_a_minute(number):
    return number


@task(expires=60, keep=30)
def briefly(number):
    return number


@task(aliases=["tests.gone.old_name", "tests.tasks.older_name"])
def renamed(number):
    return number * 2


@task(keep=3600)
def kept_for_an_hour(number):
    return number


@task(keep=3600, max_attempts=1)
def kept_failing():
    raise ValueError("no luck")


@task(keep_result=False)
def keeps_nothing(number):
    return {number}  # what is no JSON is none of its business


@task(expires=60)
async def afor_a_minute(number):
    return number


@task(
    unique=Unique(key="number"),
    limit=Limit("unique lane", concurrency=1),
    expires=60,
)
def laned(number, note=""):
    return note


@task(
    unique=Unique(key="number", on_conflict="replace"),
    limit=Limit("replaced lane", key="note", concurrency=1),
)
def laned_latest(number, note=""):
    return note
