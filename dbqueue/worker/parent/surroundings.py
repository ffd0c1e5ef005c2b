"""What a worker changes in its process, and gives back to whoever called it."""

import logging
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.db import connections

from dbqueue import dialects
from dbqueue.worker.process import programs

_CHANGED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGCHLD,
)


@contextmanager
def given_back() -> Iterator[None]:
    """Keep a caller's signals, limits and connections as they were.

    Raises CommandError inside a transaction, and outside of the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise CommandError(
            "runworker was called in a thread, and Python handles signals in the main "
            "thread alone. Call it there, or start it with subprocess."
        )
    handlers = {number: signal.getsignal(number) for number in _CHANGED}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    descriptor = signal.set_wakeup_fd(-1)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    adopts = programs.adopt()
    try:
        with _connections_kept():
            yield
    finally:
        programs.adopt(on=adopts)
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
        signal.set_wakeup_fd(descriptor)
        for number, handler in handlers.items():
            if handler is not None:  # or it is not Python's
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def left_behind() -> Iterator[None]:
    """Leave what was changed as it is: this process ends with the worker.

    Python gives the default handlers back as it ends, and a late signal would kill.
    """
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def log_kept() -> Iterator[None]:
    """Keep the handlers and levels of the loggers that a worker may set up."""
    before = [
        (logger, logger.level, logger.handlers[:])
        for logger in map(
            logging.getLogger, ("dbqueue", "django.tasks", "django_tasks")
        )
    ]
    try:
        yield
    finally:
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers


@contextmanager
def _connections_kept() -> Iterator[None]:
    """Set aside what is open: it must not be in use on both sides of a fork."""
    opened = [c for c in connections.all(initialized_only=True) if c.connection]
    for connection in opened:
        if connection.in_atomic_block:
            raise CommandError(
                f"runworker was called inside a transaction of {connection.alias!r}, "
                "whose jobs its processes cannot see. Call it outside; in a TestCase, "
                "use dbqueue.testing.run_jobs()."
            )
    options = {c.alias: dict(c.settings_dict["OPTIONS"]) for c in connections.all()}
    again = [_set_aside(connection) for connection in opened]
    try:
        yield
    finally:
        for alias, before in options.items():
            changed: dict[str, Any] = connections[alias].settings_dict["OPTIONS"]
            changed.clear()
            changed.update(before)
        for connection in again:
            connections[connection.alias] = connection
            connection.ensure_connection()


def _set_aside(connection: Any) -> Any:
    # A file of SQLite knows its locks by process. A server's session stays as it is:
    # the children leave its socket alone.
    if dialects.kind_of(connection).is_remote and not connection.settings_dict[
        "OPTIONS"
    ].get("pool"):
        del connections[connection.alias]
    else:
        connection.close()
    return connection
