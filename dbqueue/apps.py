"""The app's configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DbqueueConfig(AppConfig):
    name = "dbqueue"
    verbose_name = _("Task queue")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models must be loaded by now; the checks register themselves.
        from dbqueue import checks, chores  # noqa: F401
        from dbqueue.uploads import checks as upload_checks  # noqa: F401
        from dbqueue.uploads.chore import enqueue_sweep_if_due

        chores.register(enqueue_sweep_if_due)
