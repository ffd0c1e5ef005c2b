"""Begins the worker again: when the code changes, in development, and at SIGHUP."""

import os
import signal
import subprocess
import time
from types import FrameType
from typing import NoReturn

from django.apps import apps
from django.utils import autoreload

from dbqueue.worker.process import signals, streams

# Set in the process that works, as opposed to the one that restarts it.
WORKING = "DBQUEUE_WORKING"
# The exit code by which a worker asks to be restarted.
RELOAD = 3


def run_with_reload() -> int:
    """Run this command in a process of its own; restart it when the code changes.

    Returns the exit code of a worker that was stopped or never started.
    """
    watcher, restarted = ChangeWatcher(), False
    while True:
        code = _run_once()
        if code != RELOAD and not (restarted and code):
            return code
        if code != RELOAD:
            _wait_for(watcher)  # the change broke it: the next one may fix it
        restarted = True


def restart() -> NoReturn:
    """Run this command again in this very process, so that its pid stays."""
    # What comes meanwhile waits until the new worker has its handlers.
    signals.hold()
    streams.flush()
    arguments = autoreload.get_child_arguments()
    os.execv(arguments[0], arguments)


class ChangeWatcher:
    """Tells whether a module loaded here, or any of the project's apps, has changed."""

    def __init__(self) -> None:
        self._reloader = autoreload.StatReloader()
        # Modules that are not loaded, too: the change may have broken their import.
        for app in apps.get_app_configs():
            if "site-packages" not in app.path:
                self._reloader.watch_dir(app.path, "**/*.py")
        self._seen = dict(self._reloader.snapshot_files())

    def changed(self) -> bool:
        """Return whether a file is newer than when it was first seen."""
        changed = False
        for path, mtime in self._reloader.snapshot_files():
            changed |= self._seen.setdefault(path, mtime) != mtime
            self._seen[path] = mtime
        return changed


def _run_once() -> int:
    # A group of its own: a terminal's Ctrl-C reaches this process alone, which passes
    # it on once. Twice would mean: stop now.
    worker = subprocess.Popen(
        autoreload.get_child_arguments(),
        env={**os.environ, WORKING: "1"},
        process_group=0,
    )

    def pass_on(number: int, frame: FrameType | None) -> None:
        worker.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if not signals.is_unheard(number):
            signal.signal(number, pass_on)
    return worker.wait()


def _wait_for(watcher: ChangeWatcher) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if not signals.is_unheard(number):
            signal.signal(number, signal.SIG_DFL)
    while not watcher.changed():
        time.sleep(1)
