"""A task that names no options, in an app that is not the project's own."""

import time

from dbqueue import task


@task
def fail_here(seconds=0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.01)
    raise ValueError("no luck")
