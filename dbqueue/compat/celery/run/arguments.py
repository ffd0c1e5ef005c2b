"""Arguments and results as Celery's JSON takes them: keys become text, and so on."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise


def plain(value: Any) -> Any:
    """Return the value as Celery's JSON writes it, where that differs from ours.

    Lazy text becomes text, keys that are numbers become text, and what has a method
    __json__() is asked by it. Dates, decimals, UUIDs and bytes keep their types.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    own = getattr(type(value), "__json__", None)
    return value if own is None else plain(own(value))


def _key(key: Any) -> Any:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int | float):
        return repr(key)
    return str(key) if isinstance(key, Promise) else key
