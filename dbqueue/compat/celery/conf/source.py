"""Where the settings of an app are, read when they are first needed."""

import logging
from importlib import import_module
from typing import Any

from django.conf import settings

from dbqueue.compat.celery.conf import keys

logger = logging.getLogger(__name__)

_MISSING = object()


class Conf(dict[str, Any]):
    """Settings by attribute or by key, in small letters; `own` are set by the code."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "own", set())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return value(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        self.own.add(name)
        super().__setitem__(name, value)

    def update(self, *args: Any, **more: Any) -> None:
        for name, given in dict(*args, **more).items():
            self[name] = given

    def load(self, name: str, value: Any) -> None:
        """Take over a value of a settings file; what the code has set stays."""
        if name not in self.own:
            super().__setitem__(name, value)


class Source:
    """Where the settings of an app are: an object, or the path of one."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Any, str]] = []
        self.namespace = "CELERY"
        self.conf = Conf()

    def set(self, found: Any, namespace: str) -> None:
        self._waiting.append((found, namespace))

    def read(self) -> Conf:
        """Return the settings; they are still loading when an app is made."""
        while self._waiting:
            found, self.namespace = self._waiting.pop(0)
            self._load(named(found), self.namespace)
        return self.conf

    def _load(self, found: Any, namespace: str) -> None:
        items = found if isinstance(found, dict) else None
        for name in items or dir(found):
            key = None if name.startswith("_") else keys.named(name, namespace)
            if key is not None:
                self.conf.load(key, items[name] if items else getattr(found, name))
        idle = sorted(name for name in self.conf if name.startswith("broker_"))
        if idle:
            logger.info("There is no broker: %s has no effect", ", ".join(idle))


def value(name: str, default: Any = None) -> Any:
    """Return a setting: what the code has set, what Django's settings say now, or at
    the start.
    """
    conf = current.read()
    if name not in conf.own:
        for named in (f"{current.namespace or 'CELERY'}_{name}".upper(), _old(name)):
            live = getattr(settings, named, _MISSING)  # as tests override them
            if live is not _MISSING:
                return live
    found = conf.get(name)
    return default if found is None else found


def _old(name: str) -> str:
    return f"CELERY_{name.removeprefix('task_')}".upper()


def named(found: Any) -> Any:
    """Return what a path names, as "a.b:c" or "a.b.c"; anything else is itself.

    Raises ImportError.
    """
    if found == "django.conf:settings":
        return settings
    if not isinstance(found, str):
        return found
    path, _, name = found.partition(":")
    try:
        made = import_module(path)
    except ImportError:
        if name or "." not in path:
            raise
        path, _, name = path.rpartition(".")
        made = import_module(path)
    if name and not hasattr(made, name):
        raise ImportError(f"{found!r} is no module, nor a name in one.")
    return getattr(made, name) if name else made


current = Source()
