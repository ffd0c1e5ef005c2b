"""A worker beside `manage.py runserver`: it restarts with it, and ends with it."""

import atexit
import os
import sys

from django.utils import autoreload

from dbqueue.management.embedding import SERVES, start_worker, stop_worker

_COMMANDS = ("runserver", "runserver_plus")


def start_beside() -> None:
    """Start a worker if this process is the one of `runserver` that serves."""
    given = sys.argv[1:]
    if given[:1] == [] or given[0] not in _COMMANDS:
        return
    is_restarted = any(os.environ.get(name) == "true" for name in SERVES)
    if is_restarted or "--noreload" in given:
        command = autoreload.get_child_arguments()[: -len(given)]
        start_worker(command=command)
        atexit.register(stop_worker, wait=False)
