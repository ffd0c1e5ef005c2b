"""What Django projects use of Celery, on dbqueue: change the import.

The documentation lists what is supported, what differs, and what is refused.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Celery": "app.base",
    "Signature": "canvas",
    "Task": "app.task",
    "current_app": "app.base",
    "current_task": "app.base",
    "shared_task": "app.making",
    **dict.fromkeys(
        ("chain", "chord", "chunks", "group", "signature", "subtask", "xmap"), "canvas"
    ),
}
_MODULES = (
    *("app", "bootsteps", "canvas", "exceptions", "result", "schedules", "signals"),
    *("states", "utils"),
)
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    # As in dbqueue: settings may import this package before the models are loaded.
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(
            f"module 'dbqueue.compat.celery' has no attribute {name!r}. The guide "
            '"From Celery" lists what there is.'
        )
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
