"""Asks both systems the same questions; prints the answers as JSON."""

import json
import os
import re
import sys
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import django

django.setup()

from celery import chain, signature, states  # noqa: E402
from celery.result import AsyncResult, EagerResult  # noqa: E402
from celery.schedules import crontab  # noqa: E402
from django.utils.functional import lazystr  # noqa: E402
from orders import tasks  # noqa: E402
from shop.celery import app  # noqa: E402

SIDE = os.environ["SIDE"]
answers = {}


def settle():
    """Have all that waits run to its end."""
    if app.conf.task_always_eager:
        return
    if SIDE == "dbqueue":
        from dbqueue.testing import run_jobs

        run_jobs(scheduled=True)
    else:
        for _ in range(5):  # first in, first out, one at a time; retries come behind
            tasks.silent.delay()
            tasks.add.delay(0).get(timeout=30, interval=0.01)


def plain(value):
    if isinstance(value, BaseException):
        words = re.sub(r"[0-9a-f-]{36}", "ID", str(value))
        return f"{type(value).__name__}: {words}"
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | dict | None) else repr(value)


def ask(name, question):
    tasks.heard.clear()
    try:
        answer = plain(question())
    except Exception as error:
        answer = f"raises {type(error).__name__}"
    mode = "eager" if app.conf.task_always_eager else "worker"
    answers[f"{name}, {mode}"] = answer


def end(task, *args, **kwargs):
    """Return the state and the result of a call, once it has ended."""
    result = task.delay(*args, **kwargs)
    settle()
    if not app.conf.task_always_eager:
        result = AsyncResult(result.id)
    return [result.state, plain(result.result)]


def heard(*names):
    """Return what was noted of these, in order."""
    return [item for item in tasks.heard if item[0] in names]


def heard_of(call, *names):
    call()
    settle()
    return heard(*names)


SIGNALS = ("task_prerun", "task_postrun", "task_success", "task_failure", "task_retry")
HOOKS = (
    *("before_start", "__call__", "on_success", "on_failure", "on_retry"),
    "after_return",
)
VALUES = {
    "datetime": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    "date": date(2026, 1, 2),
    "time": time(1, 2, 3),
    "Decimal": Decimal("1.10"),
    "UUID": UUID(int=7),
    "bytes": b"text",
    "bytes that are no text": b"\x00\xff",
    "tuple": (1, (2, 3)),
    "dict with number keys": {1: "a"},
    "lazy text": lazystr("lazy"),
    "timedelta": timedelta(hours=1),
    "set": {1},
    "NaN": float("nan"),
}


def questions():
    ask("add.delay(1)", lambda: end(tasks.add, 1, b=2))
    ask("a direct call", lambda: tasks.add(1))
    ask("a direct call of a bound task", lambda: tasks.retried(0))
    ask("retry() of a direct call", lambda: tasks.retried(1))
    ask("wrong arguments", lambda: tasks.add.delay())
    ask("a failure", lambda: end(tasks.fail, "bad"))
    ask("a name of its own", lambda: end(tasks.named))
    ask("a retry", lambda: end(tasks.retried, 2))
    ask("a retry too many", lambda: end(tasks.retried, 3))
    ask("a retry with other arguments", lambda: end(tasks.next_page, 1))
    ask("MaxRetriesExceededError", lambda: end(tasks.exhausted))
    ask("autoretry_for", lambda: end(tasks.automatic, "connection"))
    ask(
        "attempts of autoretry_for",
        lambda: heard_of(lambda: tasks.automatic.delay("connection"), "automatic"),
    )
    ask("dont_autoretry_for", lambda: end(tasks.automatic, "pipe"))
    ask("self.request", lambda: end(tasks.request))
    ask("Ignore", lambda: end(tasks.ignored))
    ask("Reject", lambda: end(tasks.rejected))
    ask("ignore_result", lambda: end(tasks.silent))
    ask("update_state, at the end", lambda: end(tasks.told))
    ask("a class with run()", lambda: end(tasks.adder, 1, 2))
    ask("task_routes", lambda: end(tasks.routed))
    for name, value in VALUES.items():
        ask(f"an argument: {name}", lambda value=value: end(tasks.kinds, value))
    for what in ("fine", "fail", "retry"):
        ask(
            f"hooks: {what}",
            lambda what=what: heard_of(lambda: tasks.hooked.delay(what), *HOOKS),
        )
        ask(
            f"signals: {what}",
            lambda what=what: [
                name
                for name, sender in heard_of(lambda: tasks.hooked.delay(what), *SIGNALS)
                if sender == tasks.hooked.name
            ],
        )
    ask(
        "link",
        lambda: heard_of(
            lambda: tasks.add.apply_async((1,), link=tasks.collect.s(5)), "collect"
        ),
    )
    ask(
        "link of an immutable signature",
        lambda: heard_of(
            lambda: tasks.add.apply_async((1,), link=tasks.collect.si(5)), "collect"
        ),
    )
    for errback in (tasks.errback, tasks.errback_of_id):
        ask(
            f"link_error: {errback.__name__}",
            lambda errback=errback: heard_of(
                lambda: tasks.fail.apply_async(("bad",), link_error=errback.s()),
                *("errback", "errback of id"),
            ),
        )
    ask("a signature", lambda: plain(tasks.add.s(1, b=2)))
    ask("a partial signature", lambda: tasks.add.s(b=5).clone((1,))())
    ask("signature() by name", lambda: signature("orders.named")())
    ask("a chain", lambda: plain(chain(tasks.add.s(1), tasks.add.s())))
    ask("apply()", lambda: plain(tasks.add.apply((1,)).get()))
    ask("apply() of a failure", lambda: tasks.fail.apply(("bad",)).state)
    ask("apply(throw=True)", lambda: tasks.fail.apply(("bad",), throw=True))
    ask(
        "apply(throw=True) of a retry",
        lambda: tasks.retried.apply((2,), throw=True),
    )
    ask("EagerResult", lambda: isinstance(tasks.add.apply((1,)), EagerResult))
    ask("an unknown id", lambda: [AsyncResult("x").state, AsyncResult("x").result])
    ask("an unknown name", lambda: signature("not.there")())
    ask("ready states", lambda: sorted(states.READY_STATES))
    ask("crontab", lambda: repr(crontab(minute=0, hour="*/3", day_of_week="mon-fri")))
    ask("a crontab that cannot be", lambda: crontab(minute=60))


def of_workers():
    """Ask what has no meaning where tasks run at once."""
    ask("before_task_publish", lambda: _published())
    ask("send_task", lambda: end(_Sent("orders.named")))
    ask("an id of one's own", lambda: _with_id())
    ask("countdown", lambda: _countdown())
    ask("headers", lambda: _headers())
    ask("a nested task's parent", lambda: _nested())
    ask("forget", lambda: _forgotten())
    ask("a revoked task", lambda: _revoked())


class _Sent:
    def __init__(self, name):
        self.name = name

    def delay(self):
        return app.send_task(self.name)


def _published():
    result = tasks.request.delay()
    settle()
    return [AsyncResult(result.id).result["header"], heard("after_task_publish")[:1]]


def _with_id():
    tasks.add.apply_async((1,), task_id="order-17")
    settle()
    return [AsyncResult("order-17").state, AsyncResult("order-17").result]


def _countdown():
    result = tasks.add.apply_async((1,), countdown=1)
    if SIDE == "dbqueue":
        settle()
    return result.get(timeout=30, interval=0.01)


def _headers():
    result = tasks.request.apply_async(headers={"other": 1})
    settle()
    return AsyncResult(result.id).result["args"]


def _nested():
    result = tasks.outer.delay(1)
    settle()
    return AsyncResult(AsyncResult(result.id).result).result


def _forgotten():
    result = tasks.add.delay(1)
    settle()
    AsyncResult(result.id).forget()
    return AsyncResult(result.id).state


def _revoked():
    result = tasks.add.apply_async((1,), countdown=60)
    result.revoke()
    return AsyncResult(result.id).state


@contextmanager
def working():
    if SIDE == "dbqueue":
        yield
        return
    from celery.contrib.testing.worker import start_worker

    with start_worker(app, pool="solo", perform_ping_check=False, loglevel="CRITICAL"):
        yield


app.conf.task_always_eager = True
questions()
app.conf.task_always_eager = False
with working():
    questions()
    of_workers()
json.dump(answers, sys.stdout, sort_keys=True, default=repr)
