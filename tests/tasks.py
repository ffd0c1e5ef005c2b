"""Tasks that the suite enqueues."""

import asyncio
import builtins
import logging
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from shutil import copyfile  # noqa: F401  a path must not reach it through here

from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.utils import timezone, translation

from dbqueue import Cancel, Retry, bind_context, task, time_limit
from dbqueue.dialects.rows import UNEXPLAINED
from dbqueue.exceptions import ClaimLost
from dbqueue.ids import uuid7
from dbqueue.models import FinishedJob, Job
from dbqueue.tasks.context import running


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


@task(max_attempts=2, backoff=600)
async def afail():
    raise ValueError("no luck")


@task
def echo(value):
    return value


@task
def return_bytes(count):
    return "x" * count


def plain(a, b):
    """Have no decorator."""
    return a + b


def bare():
    """Have neither a decorator nor arguments."""


CONSTANT = timedelta(1)


@task
def raise_(name, message=""):
    raise getattr(builtins, name)(message)


@task
def lose_the_claim():
    raise ClaimLost("It is elsewhere.")


@task
def speak():
    logging.getLogger(__name__).info("hello")


@task
async def aspeak():
    logging.getLogger(__name__).info("hello")


def _fail_in_a_chain():
    try:
        {}["missing"]
    except KeyError as error:
        raise LookupError("nothing there") from error


@task
def fail_in_a_chain():
    _fail_in_a_chain()


@task
async def afail_in_a_chain():
    _fail_in_a_chain()


@task(backoff=30)
def fail_and_wait(message="no luck"):
    raise ValueError(message)


@task(backoff=[10, 20])
def fail_in_sequence():
    raise ValueError("no luck")


def patience(exception, result):
    """Wait 7 seconds for each attempt, but not for the hopeless."""
    return None if str(exception) == "hopeless" else 7 * result.attempts


@task(backoff=patience)
def fail_with(message):
    raise ValueError(message)


@task(max_attempts=1)
def wait_for_noops(text, number):
    """Run until so many of noop() have ended, for 30 seconds at most."""
    deadline = time.monotonic() + 30
    ended = FinishedJob.objects.filter(task=noop.module_path)
    while ended.count() < number:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@task(max_attempts=1)
def fail_hopelessly(message):
    raise ValueError(message)


@task(backoff=lambda exception, result: 1 / 0)
def fail_with_broken_backoff():
    raise ValueError("no luck")


@task(retry_on=ConnectionError)
def retried_for_connections(name):
    raise getattr(builtins, name)("no luck")


@task(give_up_on=[LookupError])
def given_up_for_lookups(name):
    raise getattr(builtins, name)("no luck")


@task(takes_context=True, max_attempts=55, backoff=0)
def fail_and_tell_the_last(context, seen):
    if context.is_last_attempt:
        with open(seen, "a") as file:
            print(context.attempt, file=file)
    raise ValueError


@task(takes_context=True, max_attempts=1)
def snooze_until(context, attempt, after=0):
    if context.attempt < attempt:
        raise Retry(f"not before attempt {attempt}", after=after)
    return context.attempt


@task(takes_context=True, codec="typed")
def next_pages(context, page, seen):
    if page < 3:
        context.replace_arguments(page + 1, seen=[*seen, page])
        raise Retry
    return [*seen, page]


@task(takes_context=True, max_attempts=3, backoff=0)
def succeed_at(context, attempt):
    if context.attempt < attempt:
        raise ValueError(f"not before attempt {attempt}")
    return context.attempt


@task
def cancel():
    raise Cancel("nobody needs it")


@task
async def acancel():
    raise Cancel("nobody needs it")


@task(takes_context=True)
def make_progress(context, *calls):
    for arguments in calls:
        details = arguments[3] if len(arguments) > 3 else None
        context.set_progress(*arguments[:3], details=details)


@task(takes_context=True)
def tell_context(context):
    return context.context


@task(takes_context=True)
async def atell_context(context):
    return context.context


@task
def enqueue_child():
    return tell_context.enqueue().id


@task
def enqueue_child_with(value):
    with bind_context(child=value):
        return tell_context.enqueue().id


@task(atomic=True, max_attempts=1)
def write_group(name, error=None):
    Group.objects.create(name=name)
    if error:
        raise getattr(builtins, error)(name)
    return name


@task(atomic=True, max_attempts=1, takes_context=True)
def write_group_but_be_refused(context, name, sqlstate, times):
    Group.objects.create(name=name)
    if context.task_result.attempt <= times:
        with connection.cursor() as cursor:
            cursor.execute(
                f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$"
            )


@task(atomic=True, max_attempts=1)
def write_group_twice(name):
    Group.objects.create(name=name)
    with suppress(IntegrityError):  # but not within an atomic() of its own
        Group.objects.create(name=name)


@task(atomic=True, max_attempts=1, takes_context=True)
def snooze_and_be_refused(context, snoozes):
    """Be run again by its own wish, then by the database's."""
    if context.task_result.attempt <= snoozes:
        raise Retry(after=0.0)
    if context.task_result.attempt == snoozes + 1:
        write_group_but_be_refused.func(context, "later", "40001", snoozes + 1)


@task(atomic=True)
def write_group_and_lose_the_claim(name):
    Group.objects.create(name=name)
    Job.objects.update(worker_id=uuid7())


@task(takes_context=True, max_attempts=1)
def finish_with_group(context, name, *, inside=None, after=None):
    with context.finishing(object() if inside == "result" else "ours"):
        Group.objects.create(name=name)
        if inside == "lose":
            Job.objects.update(worker_id=uuid7())
        elif inside and inside != "result":
            raise getattr(builtins, inside)(name)
    if after == "again":
        with context.finishing():
            Group.objects.create(name="again")
    elif after:
        raise getattr(builtins, after)(name)
    return "not this"


@task
def tell_surroundings():
    return [
        translation.get_language(),
        timezone.get_current_timezone_name(),
        connection.in_atomic_block,
        list(Group.objects.values_list("name", flat=True)),
    ]


@task
def leave_things_behind():
    translation.activate("de")
    timezone.activate("America/Lima")
    transaction.atomic().__enter__()
    Group.objects.create(name="left behind")


@task
async def aleave_things_behind():
    translation.activate("de")
    timezone.activate("America/Lima")


@task
def fail_oddly():
    raise ValueError("a\x00b \ud800 é")


@task(takes_context=True)
def make_odd_progress(context):
    context.set_progress(1, message="a\x00b \ud800 é")


@task
def returns_object():
    return object()


@task(timeout=0.2, max_attempts=1)
def spin():
    while True:
        time.sleep(0.01)


@task(timeout=10, max_attempts=1)
def spin_in_a_part():
    with time_limit(0.3):
        while True:
            time.sleep(0.01)


@task(timeout=0.2, max_attempts=1)
async def aspin():
    await asyncio.sleep(60)


a_lambda = lambda: None  # noqa: E731  a name that is not its own


def _wrap(function):
    def inner():
        return function()

    return inner


wrapped = _wrap(plain)


@task(max_attempts=1)
def break_a_constraint(name):
    Group.objects.create(name=f"{name} before")
    transaction.on_commit(partial(noop.enqueue, name))
    for _ in range(2):
        Group.objects.create(name=name)


@task(max_attempts=1)
async def abreak_a_constraint(name):
    for _ in range(2):
        await Group.objects.acreate(name=name)


@task(max_attempts=1)
def send_wrong_sql(sql="x"):
    with connection.cursor() as cursor:
        cursor.execute(sql)


@task(max_attempts=1)
def write_group_and_fail(name):
    Group.objects.create(name=name)
    raise ValueError(name)


@task
def enqueue_on_commit(value):
    transaction.on_commit(partial(echo.enqueue, value))


@task(takes_context=True)
def repeat_hourly(context):
    raise Retry(after=3600)


@task
def enqueue_three():
    for number in range(3):
        add.enqueue(number, 1)


@task(codec="typed")
def send_typed(value, named=None):
    return [value, named]


@task(codec="json")
def echo_json(value):
    return value


@task(codec="typed")
def tell_group(group):
    return group.name


@task(codec="typed")
async def atell_group(group):
    return [group, group.name]


@task(codec="typed", takes_context=True)
def tell_own_arguments(context, value):
    return context.task_result.args


def _strange(hexadecimal):
    return bytes.fromhex(hexadecimal).decode("utf-8", "surrogatepass")


@task(max_attempts=1)
def fail_strangely(hexadecimal):
    text = _strange(hexadecimal)
    kind = type("Strange", (Exception,), {})
    kind.__qualname__ = f"Strange{text}".replace("\0", "\x01")
    kind.__module__ = text
    raise kind(text)


@task
def return_strangely(hexadecimal):
    return _strange(hexadecimal)


@task(takes_context=True)
def progress_strangely(context, hexadecimal):
    context.set_progress(1, 2, _strange(hexadecimal))


PROGRESS = {}


@task(takes_context=True, max_attempts=1)
def make_any_progress(context):
    context.set_progress(PROGRESS["value"])


# What a test has asked to stop: (job, attempt).
wanted_to_stop = {}


def _want_to_stop():
    job = running.get()
    wanted_to_stop[job.id, job.attempt] = UNEXPLAINED


@task
def fail_when_cancelled():
    _want_to_stop()
    raise ValueError("no luck")


@task
async def afail_when_cancelled():
    _want_to_stop()
    raise ValueError("no luck")


@task
def return_when_cancelled():
    _want_to_stop()
    return 7
