"""What a worker is: what people compare when two of them behave differently."""

import os
import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import django
from django.conf import settings

from dbqueue.worker.options import WorkerOptions


def told(options: WorkerOptions) -> dict[str, Any]:
    """Return what the rows of all workers of the command say alike."""
    return {
        "name": options.name,
        "host": socket.gethostname(),
        "queues": options.described(),
        "facts": _of(options),
    }


def _of(options: WorkerOptions) -> dict[str, Any]:
    """Return versions, settings module and slots, as JSON."""
    return {
        "python": platform.python_version(),
        "django": django.get_version(),
        "dbqueue": _version(),
        "settings": getattr(settings, "SETTINGS_MODULE", None)
        or os.environ.get("DJANGO_SETTINGS_MODULE", ""),
        "database": options.database,
        "threads": options.threads,
        "async": options.async_concurrency,
        "command": os.getppid(),
    }


def _version() -> str:
    try:
        return version("dbqueue-django")
    except PackageNotFoundError:  # a plain checkout
        return ""
