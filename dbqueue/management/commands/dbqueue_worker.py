"""manage.py dbqueue_worker: runworker, for projects where another app has that name."""

from dbqueue.management.commands.runworker import Command

__all__ = ["Command"]
