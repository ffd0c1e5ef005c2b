"""A job that an operator watches, and cancels."""

import time
from pathlib import Path

from dbqueue import task


@task(takes_context=True, max_attempts=1)
def hold(context, path):
    """Run until the file is there, a third of the way."""
    context.set_progress(1, 3, "Holding on")
    while not Path(path).exists():
        time.sleep(0.05)
