"""dbqueue's worker without its statistics, to tell what they cost."""

import sys

from django.core.management import execute_from_command_line

from dbqueue.worker.loop import completer

if __name__ == "__main__":
    completer.noted = lambda *ended: []  # type: ignore[attr-defined]  # ours
    execute_from_command_line(["django-admin", "runworker", *sys.argv[1:]])
