"""Tasks in a module that is not called `tasks`."""

from dbqueue.compat.celery import shared_task


@shared_task(name="elsewhere")
def elsewhere(): ...
