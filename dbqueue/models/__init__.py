"""The tables: unfinished jobs, finished ones, and the workers that hold them."""

from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

from dbqueue import wings

# Before the first model, of which Django would say that it has no app_label.
if not apps.is_installed("dbqueue"):
    raise ImproperlyConfigured(
        "'dbqueue' is not in INSTALLED_APPS. Add it, and run: manage.py migrate"
    )

from dbqueue.models.job import (
    FinishedJob,
    Job,
    JobRecord,
    JobState,
    UniqueUntil,
    entries,
    workers,
)
from dbqueue.models.pause import Pause
from dbqueue.models.statistic import Statistic
from dbqueue.models.throttle import Throttle
from dbqueue.models.worker import Worker

__all__ = [
    "FinishedJob",
    "Job",
    "JobRecord",
    "JobState",
    "Pause",
    "Statistic",
    "Throttle",
    "UniqueUntil",
    "Worker",
    "entries",
    "workers",
]


# A wing's tables are the app's, too, and were always found here.
wings.modules("models")


def __getattr__(name: str) -> Any:
    return wings.attribute("models", name)
