"""dbqueue's worker without its statistics, to tell what they cost."""

import sys

import django
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    django.setup()
    from dbqueue.worker.loop.tally import Tally

    Tally.add = lambda *ended: None  # type: ignore[method-assign]
    execute_from_command_line(["django-admin", "runworker", *sys.argv[1:]])
