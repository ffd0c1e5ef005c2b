"""An app whose receiver tells, in whatever process, which ends are announced."""

from django.apps import AppConfig


class Listening(AppConfig):
    name = "tests.support"

    def ready(self):
        from dbqueue.tasks.framework import task_finished

        task_finished.connect(tell)


def tell(task_result, **kwargs):
    from tests.support.worker_tasks import effect

    effect("told", task_result.id, state=task_result.state)
