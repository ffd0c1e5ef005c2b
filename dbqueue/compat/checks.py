"""System checks of code that came from elsewhere: silent where there is none."""

import sys
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks

_SOURCE = "dbqueue.compat.celery.conf.source"


@checks.register("dbqueue")
def check_celery(**kwargs: Any) -> list[checks.CheckMessage]:
    """E010 and W030: settings of Celery's that are refused, and that there are not."""
    module: Any = sys.modules.get(_SOURCE)
    return list(_of_settings(module)) if module else []


def _of_settings(source: Any) -> Iterator[checks.CheckMessage]:
    for name, value in source.current.read().items():
        if words := source.keys.problem(name, value):
            yield checks.Error(f"Celery's {words}", id="dbqueue.E010")
    beginning = f"{source.current.namespace}_" if source.current.namespace else ""
    for name in dir(settings) if beginning else ():
        key = name.removeprefix(beginning).lower()
        if name.startswith(beginning) and (words := source.keys.misspelt(key)):
            yield checks.Warning(f"{name}: {words}", id="dbqueue.W030")
