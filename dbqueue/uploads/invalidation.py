"""What a cache forgets once a field has changed: keys, a function's doing, or all."""

import logging
from collections.abc import Callable, Iterable
from functools import partial
from inspect import isfunction
from typing import Any

from django.apps import apps
from django.core.cache import cache
from django.db import transaction
from django.utils.module_loading import import_string

from dbqueue.exceptions import UploadError
from dbqueue.models import Upload
from dbqueue.uploads.targets import Target

logger = logging.getLogger(__name__)

Invalidate = Callable[[Any], Any] | str | Iterable[str]


def described(invalidate: Invalidate | None) -> dict[str, Any]:
    """Return as JSON what is to be invalidated: a function by its path, or keys."""
    if invalidate is None:
        return {}
    if isinstance(invalidate, str):
        return {"keys": [invalidate]}
    if callable(invalidate):
        return {"function": _path_of(invalidate)}
    keys = list(invalidate) if isinstance(invalidate, Iterable) else [invalidate]
    if not all(isinstance(key, str) for key in keys):
        raise UploadError(
            f"invalidate={invalidate!r} must be a function, or cache keys as text."
        )
    return {"keys": keys}


def after_commit(upload: Upload, target: Target) -> None:
    """Invalidate once the transaction that changes the field has committed."""
    run = partial(_run, upload.options, target)
    transaction.on_commit(run, using=str(upload._state.db), robust=True)


def _run(options: dict[str, Any], target: Target) -> None:
    if options.get("clear_cache"):
        cache.clear()
    wanted = options.get("invalidate") or {}
    if wanted.get("keys"):
        cache.delete_many(wanted["keys"])
    if wanted.get("function"):
        _function(wanted["function"])(target.instance())


def _path_of(function: Any) -> str:
    path = f"{function.__module__}.{getattr(function, '__qualname__', '')}"
    _check(path, function)
    if "<" in path:
        raise UploadError(
            f"invalidate={path!r} is not at a module's top level, where the worker "
            "could find it. Move it there."
        )
    return path


def _function(path: str) -> Callable[[Any], Any]:
    module = path.rpartition(".")[0]
    if not apps.get_containing_app_config(module):  # before it is imported
        raise UploadError(f"{path!r} is in no installed app.")
    function: Callable[[Any], Any] = import_string(path)
    _check(path, function)
    return function


def _check(path: str, function: Any) -> None:
    # A row must not be able to name os.system.
    if not isfunction(function) or not apps.get_containing_app_config(
        function.__module__
    ):
        raise UploadError(
            f"invalidate={path!r} is no function of a module of an installed app."
        )
