"""What there is not: steps in the start of a worker."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotImplementedError(
        f"celery.bootsteps.{name} is not supported by dbqueue.compat.celery: a worker "
        "of dbqueue has no steps of others. Connect to dbqueue.signals.worker_ready "
        "and worker_stopping."
    )
