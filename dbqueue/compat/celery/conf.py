"""The settings of Celery's that count here, read when they are first needed."""

import logging
from importlib import import_module
from typing import Any

from django.conf import settings

logger = logging.getLogger(__name__)

# What means nothing without a broker, and what is not read yet.
BROKER = ("broker_url", "result_backend", "broker_transport_options")
NOT_READ = ("beat_schedule", "task_routes", "task_annotations")


class Conf(dict[str, Any]):
    """Settings by attribute or by key, in small letters."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


class Source:
    """Where the settings of an app are: an object, or the path of one."""

    def __init__(self) -> None:
        self.found: Any = None
        self.beginning = ""
        self._conf = Conf()

    def set(self, found: Any, namespace: str) -> None:
        self.found, self.beginning = found, f"{namespace}_" if namespace else ""

    def read(self) -> Conf:
        """Return the settings; they are still loading when an app is made."""
        if self.found is not None:
            found, self.found = self.found, None
            self._load(_object(found))
        return self._conf

    def _load(self, found: Any) -> None:
        for name in dir(found):
            if name.startswith(self.beginning) and not name.startswith("_"):
                key = name.removeprefix(self.beginning).lower()
                self._conf.setdefault(key, getattr(found, name))
        if any(self._conf.get(name) for name in BROKER):
            logger.info("There is no broker: %s have no effect", ", ".join(BROKER))
        for name in NOT_READ:
            if self._conf.get(name):
                logger.warning("dbqueue.compat.celery does not read %s yet", name)


def flag(name: str) -> bool:
    """Tell whether a setting is on; of Django's settings first, as tests set them."""
    given = getattr(settings, f"CELERY_{name.upper()}", None)
    return bool(current.read().get(name) if given is None else given)


def _object(found: Any) -> Any:
    if found == "django.conf:settings":
        return settings
    return import_module(found.partition(":")[0]) if isinstance(found, str) else found


current = Source()
