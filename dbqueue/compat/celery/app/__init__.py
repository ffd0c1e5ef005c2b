"""The app object, and the tasks that it makes."""

from importlib import import_module
from typing import Any

_HOMES = {
    "Celery": "base",
    "Task": "task",
    "current_app": "base",
    "current_task": "base",
    "shared_task": "making",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def app_or_default(app: Any = None) -> Any:
    """Return the app object: there is one."""
    return app or import_module(f"{__name__}.base").current_app
