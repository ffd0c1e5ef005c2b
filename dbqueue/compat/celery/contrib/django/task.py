"""DjangoTask, which is Task: delay() is in the transaction in any case."""

from dbqueue.compat.celery.app.task import Task as DjangoTask

__all__ = ["DjangoTask"]
