"""A job that goes on when a test says so."""

import time
from pathlib import Path

from dbqueue import UserVisibleError, task


@task(takes_context=True, queue_name="pages", max_attempts=1)
def follow(context, script):
    """Do what the lines of the file say, as they are written."""
    file, done = Path(script), 0
    while True:
        lines = file.read_text().splitlines() if file.exists() else []
        for line in lines[done:]:
            word, _, rest = line.partition(" ")
            if word == "say":
                percent, _, message = rest.partition(" ")
                context.set_progress(int(percent), 100, message)
            elif word == "attach":
                context.attach(rest, f"This is {rest}.")
            elif word == "refuse":
                raise UserVisibleError(rest)
            elif word == "end":
                return
        done = len(lines)
        time.sleep(0.02)
