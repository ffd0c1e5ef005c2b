"""manage.py dbqueue_worker: runworker, where another app has taken that name."""

from dbqueue.management.commands.runworker import Command

__all__ = ["Command"]
