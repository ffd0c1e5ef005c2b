"""System checks of code that came from elsewhere: silent where there is none."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from dbqueue.backend import our_backends
from dbqueue.compat import conf
from dbqueue.compat.alliance_platform import settings as alliance
from dbqueue.conf import nearest
from dbqueue.tasks.options import OPERATIONS

_SOURCE = "dbqueue.compat.celery.conf.source"
_ALLIANCE = "dbqueue.compat.alliance_platform.storage.async_uploads.models"
_ROUTES = "dbqueue.compat.celery.conf.routes"


@checks.register("dbqueue")
def check_celery(**kwargs: Any) -> list[checks.CheckMessage]:
    """E010 and W030: settings of Celery's that are refused, and that there are not."""
    module: Any = sys.modules.get(_SOURCE)
    return list(_of_settings(module)) if module else []


@checks.register("dbqueue")
def check_alliance(**kwargs: Any) -> list[checks.CheckMessage]:
    """E029: values in ALLIANCE_PLATFORM that are refused."""
    if _ALLIANCE not in sys.modules:
        return []
    return [checks.Error(text, id="dbqueue.E029") for text in alliance.problems()]


def _of_settings(source: Any) -> Iterator[checks.CheckMessage]:
    for name, value in source.current.read().items():
        if words := source.keys.problem(name, value):
            yield checks.Error(f"Celery's {words}", id="dbqueue.E010")
    beginning = f"{source.current.namespace}_" if source.current.namespace else ""
    for name in dir(settings) if beginning else ():
        key = name.removeprefix(beginning).lower()
        if name.startswith(beginning) and (words := source.keys.misspelt(key)):
            yield checks.Warning(f"{name}: {words}", id="dbqueue.W030")


@checks.register("dbqueue")
def check_queues(**kwargs: Any) -> list[checks.CheckMessage]:
    """W031: settings name queues that the jobs' entry of TASKS does not list."""
    backend = our_backends().get("default")
    if backend is None or not backend.queues:  # without QUEUES it has any
        return []
    return [
        checks.Warning(
            f"{setting} names the queue {queue!r}, which TASKS['default'] does not "
            f"list.{nearest(queue, backend.queues)}",
            hint="Add it to QUEUES there; until then, calls that would go to it raise "
            "InvalidTask.",
            id="dbqueue.W031",
        )
        for setting, queue in dict.fromkeys(_named())
        if queue not in {*backend.queues, OPERATIONS}
    ]


def _named() -> Iterator[tuple[str, str]]:
    routes: Any = sys.modules.get(_ROUTES)
    for setting, queue in routes.named() if routes else ():
        yield f"Celery's {setting}", queue
    with suppress(ImproperlyConfigured):  # E001 tells of it
        for queue in conf.current().spoolers.values():
            yield f"{conf.CompatSettings.PLACE}['SPOOLERS']", str(queue)
