"""What is declared once the models are there: a module may be imported before."""

import logging
from collections.abc import Callable

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

logger = logging.getLogger(__name__)

_waiting: list[Callable[[], object]] = []
_told: set[str] = set()


def when_ready(declare: Callable[[], object]) -> None:
    """Call the function now, or as soon as the models are loaded; never inline."""
    if not apps.models_ready:
        _waiting.append(declare)
    elif is_installed():
        declare()


def declare_waiting() -> None:
    """Declare what was made before the models were there."""
    while _waiting:
        _waiting.pop(0)()


def is_installed() -> bool:
    """Tell whether there is a queue; without it, functions are run at once."""
    if apps.apps_ready:
        return apps.is_installed("dbqueue")
    try:
        names = settings.INSTALLED_APPS
    except ImproperlyConfigured:
        return False
    return any(name == "dbqueue" or name.startswith("dbqueue.apps.") for name in names)


def warn_once(key: str, message: str) -> None:
    """Log a warning, the first time in this process."""
    if key not in _told:
        _told.add(key)
        logger.warning(message)
