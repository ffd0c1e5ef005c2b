"""The arguments of `pass_arguments`: tuples, sets, bytes and Enums arrive as they left.

What else may be sent is the codec "typed". Nothing is pickled.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from enum import Enum, EnumType
from importlib import import_module
from typing import Any

from dbqueue.exceptions import InvalidPayload

_TAG = "$spool"


def packed(value: Any) -> Any:
    """Return the value with tags in the place of what JSON does not have.

    Raises InvalidPayload for an Enum that no worker could find.
    """
    if isinstance(value, Enum):
        return {_TAG: "enum", "value": _path(value)}
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
    except (AttributeError, ImportError, LookupError, TypeError, ValueError) as error:
        raise InvalidPayload(f"{value!r:.200} cannot be read: {error}") from error


def _pairs(items: Any) -> dict[Any, Any]:
    return {unpacked(key): unpacked(item) for key, item in items}


def _path(member: Enum) -> list[str | None]:
    kind = type(member)
    found: list[str | None] = [kind.__module__, kind.__qualname__, member.name]
    try:
        if _member(found) is member:
            return found
    except (AttributeError, ImportError, LookupError, TypeError):
        pass
    raise InvalidPayload(
        f"{member!r:.100} cannot be found by its name. Declare its class at the top "
        "level of a module, or send its value."
    )


def _member(found: Any) -> Enum:
    module, path, name = found
    kind: Any = import_module(module)
    for part in path.split("."):
        kind = getattr(kind, part)
    if not isinstance(kind, EnumType):
        raise TypeError(f"{path} of {module} is not an Enum")
    member: Enum = kind[name]
    return member


_KINDS: dict[str, Any] = {
    "bytes": b64decode,
    "tuple": lambda items: tuple(map(unpacked, items)),
    "set": lambda items: set(map(unpacked, items)),
    "frozenset": lambda items: frozenset(map(unpacked, items)),
    "dict": _pairs,
    "enum": _member,
}
