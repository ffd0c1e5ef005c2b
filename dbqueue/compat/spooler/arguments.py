"""The arguments of `pass_arguments`: tuples, sets and bytes arrive as they left, too.

What else may be sent is the codec "typed". Nothing is pickled.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from dbqueue.exceptions import InvalidPayload

_TAG = "$spool"


def packed(value: Any) -> Any:
    """Return the value with tags in the place of what JSON does not have."""
    if isinstance(value, bytes | bytearray):
        return {_TAG: "bytes", "value": b64encode(value).decode()}
    if isinstance(value, tuple):
        return {_TAG: "tuple", "value": [packed(item) for item in value]}
    if isinstance(value, set | frozenset):
        kind = "set" if isinstance(value, set) else "frozenset"
        return {_TAG: kind, "value": [packed(item) for item in value]}
    if isinstance(value, list):
        return [packed(item) for item in value]
    if isinstance(value, Mapping):
        if _TAG in value or any(not isinstance(key, str) for key in value):
            pairs = [[packed(key), packed(item)] for key, item in value.items()]
            return {_TAG: "dict", "value": pairs}
        return {key: packed(item) for key, item in value.items()}
    return value


def unpacked(value: Any) -> Any:
    """Return what was packed. Raises InvalidPayload for what packed() does not make."""
    if isinstance(value, list):
        return [unpacked(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _TAG not in value:
        return {key: unpacked(item) for key, item in value.items()}
    try:
        return _KINDS[value[_TAG]](value["value"])
    except (LookupError, TypeError, ValueError) as error:
        raise InvalidPayload(f"{value!r:.200} cannot be read: {error}") from error


def _pairs(items: Any) -> dict[Any, Any]:
    return {unpacked(key): unpacked(item) for key, item in items}


_KINDS: dict[str, Any] = {
    "bytes": b64decode,
    "tuple": lambda items: tuple(map(unpacked, items)),
    "set": lambda items: set(map(unpacked, items)),
    "frozenset": lambda items: frozenset(map(unpacked, items)),
    "dict": _pairs,
}
