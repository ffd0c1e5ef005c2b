"""The decorators of uWSGI's module of this name, on jobs and schedules of dbqueue.

The documentation lists what is supported, what differs, and what is refused.
"""

import threading
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django.db import connections

from dbqueue import signals, time_limit
from dbqueue.compat.spooler import functions, refused
from dbqueue.compat.spooler import signals as numbers
from dbqueue.compat.spooler.locks import locked
from dbqueue.compat.spooler.mules import Mule

__all__ = [
    *("cron", "get_free_signal", "harakiri", "lock", "mulefunc", "postfork"),
    *("rbtimer", "signal", "spool", "spoolforever", "spoolraw", "thread", "timer"),
]

Function = Callable[..., Any]
get_free_signal = numbers.free


def spool(f: Function | None = None, pass_arguments: bool = False) -> Any:
    """Make a function of one dict, or of `pass_arguments`, a job of each of its calls.

    What it returns is ignored. If it raises, it is run again, with a growing pause,
    DBQUEUE["MAX_ATTEMPTS"] times in all.
    """
    return _spooled(functions.Spooled, f, pass_arguments)


def spoolraw(f: Function | None = None, pass_arguments: bool = False) -> Any:
    """As @spool; it says by SPOOL_OK that it is done, by SPOOL_RETRY to run it again.

    Whatever else it returns counts as a failure.
    """
    return _spooled(functions.Raw, f, pass_arguments)


def spoolforever(f: Function | None = None, pass_arguments: bool = False) -> Any:
    """As @spool; it is run again and again, SPOOLER_FREQUENCY seconds after its end."""
    return _spooled(functions.Forever, f, pass_arguments)


def mulefunc(f: Function | int | str) -> Any:
    """Make a function a job of each of its calls, in the queue of a mule or a farm."""
    return Mule(f) if callable(f) else partial(Mule, target=f)


def signal(num: int, target: str = "") -> Callable[[Function], Function]:
    """Have a signal, sent by uwsgi.signal(), run the function with its number."""

    def decorate(f: Function) -> Function:
        numbers.register(num, target, f)
        return f

    return decorate


def timer(secs: float, signum: int | None = None, target: str = "") -> Any:
    """Run the function every so many seconds, once over all workers."""
    return _recurring(numbers.every(secs), signum, target)


def rbtimer(
    secs: float, signum: int | None = None, target: str = "", iterations: int = 0
) -> Any:
    """As @timer; `iterations` times, if they are given."""
    return _recurring(numbers.every(secs), signum, target, iterations or None)


def cron(
    minute: int,
    hour: int,
    day: int,
    month: int,
    dayweek: int,
    signum: int | None = None,
    target: str = "",
) -> Any:
    """Run the function at these times, by the rules of uWSGI's, not of a crontab."""
    times = numbers.cron(minute, hour, day, month, dayweek)
    return _recurring(times, signum, target)


def harakiri(seconds: float) -> Callable[[Any], Any]:
    """Stop a job if the function takes longer: that counts as a failure.

    It may stand above or below the other decorators. Outside of a worker it does
    nothing.
    """

    def limited(f: Function) -> Function:
        @wraps(f)
        def run(*args: Any, **kwargs: Any) -> Any:
            with time_limit(seconds):
                return f(*args, **kwargs)

        return run

    def decorate(f: Any) -> Any:
        if isinstance(f, functions.Spooled):
            f.f = limited(f.f)
            return f
        made = limited(f)
        numbers.replace(f, made)
        return made

    return decorate


def lock(f: Function) -> Function:
    """Run the function in one process of the host at a time."""

    @wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        with locked():
            return f(*args, **kwargs)

    return run


def postfork(f: Any) -> Function:
    """Run the function in each process of a worker, when it starts."""
    if not callable(f):
        refused.refusal(__name__, f"postfork({f!r})", "Workers have no numbers.")()
    run: Function = f
    signals.worker_ready.connect(lambda **event: run(), weak=False, dispatch_uid=run)
    return run


def thread(f: Function) -> Callable[..., Function]:
    """Have a call start a daemon thread that runs the function."""

    def run(*args: Any, **kwargs: Any) -> None:
        try:
            f(*args, **kwargs)
        finally:
            connections.close_all()

    @wraps(f)
    def start(*args: Any, **kwargs: Any) -> Function:
        threading.Thread(target=run, args=args, kwargs=kwargs, daemon=True).start()
        return f

    return start


def _spooled(kind: Any, f: Function | None, pass_arguments: bool) -> Any:
    if f is None:
        return partial(kind, pass_arguments=pass_arguments)
    return kind(f, pass_arguments)


def _recurring(times: Any, signum: int | None, target: str, most: Any = None) -> Any:
    def decorate(f: Function) -> Function:
        number = get_free_signal() if signum is None else signum
        numbers.recur(numbers.register(number, target, f), times, most)
        return f

    return decorate


def __getattr__(name: str) -> Any:
    if name in refused.DECORATORS:
        return refused.refusal("uwsgidecorators", name, refused.DECORATORS[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
