"""What Django projects use of Celery, on dbqueue: change the import.

The documentation lists what is supported, what differs, and what is refused.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Celery": "app",
    "Task": "task",
    "current_app": "app",
    "shared_task": "app",
    **dict.fromkeys(("chain", "chord", "group", "signature"), "refused"),
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    # As in dbqueue: settings may import this package before the models are loaded.
    if name not in _HOMES:
        raise AttributeError(
            f"module 'dbqueue.compat.celery' has no attribute {name!r}. The guide "
            '"From Celery" lists what there is.'
        )
    return getattr(import_module(f"dbqueue.compat.celery.{_HOMES[name]}"), name)
