"""The app's configuration, and the one line that names the wings."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from dbqueue import wings

WINGS = ("uploads", "compat")


class DbqueueConfig(AppConfig):
    name = "dbqueue"
    verbose_name = _("Task queue")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models must be loaded by now; all of these register themselves.
        from dbqueue import checks  # noqa: F401
        from dbqueue.jobs import lines

        lines.replace_djangos()
        for name in ("checks", "duties", "receivers"):
            wings.modules(name)
