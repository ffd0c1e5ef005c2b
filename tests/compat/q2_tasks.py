"""Tasks that clusters of django-q2 run in tests, and hooks."""

import os
import time

from tests.support.worker_tasks import effect


def note(key, seconds=0):
    time.sleep(seconds)
    effect("ended", str(key))
    return key


def fail(key):
    effect("failed", str(key))
    raise ValueError(f"{key} fails")


def end_worker(key):
    effect("began", str(key))
    os.kill(os.getpid(), 9)


def hook(task):
    effect("hooked", f"{task.name} {task.success} {task.result}")
