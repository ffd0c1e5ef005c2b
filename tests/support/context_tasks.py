"""Tasks that use, or spoil, what jobs of one thread or of one event loop share."""

import asyncio
import contextvars
import sys
import time

from asgiref.local import Local
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.db import transaction
from django.urls import get_urlconf, set_urlconf
from django.utils import timezone, translation

from dbqueue import task

variable = contextvars.ContextVar("variable", default="clean")
local = Local()


class CountedCache(LocMemCache):
    made = 0

    def __init__(self, *args):
        super().__init__(*args)
        type(self).made += 1


@task
def use_cache(key):
    for alias in ("default", "other"):
        caches[alias].set(key, key)


@task
async def ause_cache(key):
    for alias in ("default", "other"):
        await caches[alias].aset(key, key)
        await sync_to_async(caches[alias].get)(key)


@task
def set_everything():
    variable.set("spoilt")
    local.value = "spoilt"
    translation.activate("de")
    timezone.activate("America/Lima")
    set_urlconf("spoilt.urls")


@task
async def aset_everything():
    set_everything.func()
    await sync_to_async(set_everything.func)()


@task
def see_everything():
    return [
        variable.get(),
        getattr(local, "value", "clean"),
        translation.get_language(),
        timezone.get_current_timezone_name(),
        get_urlconf(),
    ]


@task
async def asee_everything():
    assert await sync_to_async(see_everything.func)() == see_everything.func()
    return see_everything.func()


CLEAN = ["clean", "clean", "en", "Asia/Kathmandu", None]


# The event loop


async def _raise(error):
    raise error


@task(max_attempts=1)
async def exit_in_subtask():
    other = asyncio.create_task(_raise(SystemExit(3)))
    await asyncio.sleep(0.1)
    return repr(other.exception())


@task(max_attempts=1)
async def interrupt_in_subtask():
    await asyncio.create_task(_raise(KeyboardInterrupt()))


@task(max_attempts=1)
async def exit_in_callback():
    asyncio.get_running_loop().call_soon(sys.exit)
    await asyncio.sleep(0.1)


@task(max_attempts=1)
async def stop_the_loop():
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.1)


@task(max_attempts=1)
async def wait_a_little(seconds):
    await asyncio.sleep(seconds)
    return "done"


# Behind the commit


def _raise_in_hook():
    raise ZeroDivisionError("in a hook")


def _spin():
    while True:
        time.sleep(0.01)


HOOKS = {"raise": _raise_in_hook, "exit": sys.exit, "spin": _spin}


@task(atomic=True, max_attempts=1, timeout=0.5)
def commit_and_then(what):
    Group.objects.create(name=what)
    transaction.on_commit(HOOKS[what])
    return "done"


@task(takes_context=True, max_attempts=1, timeout=0.5)
def finish_and_then(context, what):
    with context.finishing("done"):
        Group.objects.create(name=what)
        transaction.on_commit(HOOKS[what])
