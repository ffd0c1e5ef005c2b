"""The app's configuration, and the one line that names the wings."""

from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from dbqueue import conf, wings
from dbqueue.management import runserver

WINGS = (
    *("schedules", "uploads", "fields", "limits", "logs", "relay"),
    *("progress", "compat"),
)


class DbqueueConfig(AppConfig):
    name = "dbqueue"
    verbose_name = _("Task queue")
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        _demand_driver()
        wings.modules("startup")

    def ready(self) -> None:
        # Models must be loaded by now; all of these register themselves.
        from dbqueue import checks
        from dbqueue.jobs import lines

        checks.demand_backends()
        lines.replace_djangos()
        for name in ("checks", "duties", "receivers"):
            wings.modules(name)
        _start_worker()


def _start_worker() -> None:
    # What is wrong with the setting, a check tells.
    with suppress(ImproperlyConfigured):
        if conf.current().runserver:
            runserver.start_beside()


def _demand_driver() -> None:
    # The first model of any app asks for the connection, long before the checks.
    engine = str(settings.DATABASES.get("default", {}).get("ENGINE", ""))
    if "postgresql" not in engine or find_spec("psycopg2") is not None:
        return
    try:
        import_module("psycopg")
    except ImportError as error:
        raise ImproperlyConfigured(
            "DATABASES['default'] is PostgreSQL, and its driver is not installed "
            f"({error}). Run: pip install 'dbqueue-django[postgres]'"
        ) from error
