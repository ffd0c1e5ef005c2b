"""Tags in JSON that keep the types of a fixed set of values, and no others.

A tag is {"$type": name, "value": ...}. A dict of the user's that has the key "$type" is
wrapped in a tag itself, so that it comes back as it was.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import Model

from dbqueue.exceptions import InvalidPayload
from dbqueue.tasks.payload import Json

_TAG = "$type"
_UNREADABLE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)


class ModelReference(NamedTuple):
    """What is stored of a model instance; what a result shows of one that is gone."""

    label: str  # app_label.Model
    pk: Any
    database: str


Instances = dict[ModelReference, Model]
Find = Callable[[ModelReference], Any]


def pack(value: Any, where: str, seen: Instances) -> Any:
    """Return the value with tags; note in `seen` what they say of model instances.

    `where` names it in errors. Raises InvalidPayload.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        items = {
            key: pack(item, f"{where}[{key!r}]", seen) for key, item in value.items()
        }
        return {_TAG: "dict", "value": items} if _TAG in items else items
    if isinstance(value, list | tuple):
        return [pack(item, f"{where}[{i}]", seen) for i, item in enumerate(value)]
    if isinstance(value, Model):
        return {_TAG: "model", "value": _reference(value, where, seen)}
    for name, (kind, write, restore) in _KINDS.items():
        if isinstance(value, kind):
            packed = write(value, where)
            if type(value) is not kind:
                _demand_equal(value, packed, restore, where)
            return {_TAG: name, "value": packed}
    return value


def _reference(instance: Any, where: str, seen: Instances) -> list[Any]:
    meta, state = instance._meta, instance._state
    if instance.pk is None or state.adding:
        raise InvalidPayload(
            f"{where} is an instance of {meta.label} that is not in the database. Save "
            "it first."
        )
    database = router.db_for_write(meta.model, instance=instance)
    key = _key(instance, where)
    seen[ModelReference(meta.label, key, database)] = instance
    return [meta.label, pack(key, f"{where}.pk", seen), database]


def _key(instance: Any, where: str) -> Any:
    """Return the primary key as the database gives it, where a form gave text for it.

    Raises InvalidPayload.
    """
    meta, given = instance._meta, instance.pk
    several = len(meta.pk_fields) > 1
    try:
        key = tuple(
            field.to_python(value)
            for field, value in zip(
                meta.pk_fields, given if several else [given], strict=True
            )
        )
    except ValidationError as error:
        raise InvalidPayload(
            f"{where} is an instance of {meta.label} whose primary key is {given!r}: "
            f"{' '.join(error.messages)}"
        ) from error
    return key if several else key[0]


def _demand_equal(
    value: Any, packed: Json, restore: Callable[[Any], Any], where: str
) -> None:
    try:
        is_equal = bool(restore(packed) == value)
    except (ValueError, ArithmeticError):
        is_equal = False
    if not is_equal:
        raise InvalidPayload(
            f"{where} is {value!r}, a {type(value).__module__}."
            f"{type(value).__qualname__} that no standard type can hold."
        )


def unpack(value: Json, find: Find) -> Any:
    """Return the value that was packed; `find` gives the instance for a reference.

    Raises InvalidPayload for a tag that pack() does not make.
    """
    if isinstance(value, list):
        return [unpack(item, find) for item in value]
    if not isinstance(value, dict):
        return value
    if _TAG not in value:
        return {key: unpack(item, find) for key, item in value.items()}
    try:
        return _untagged(value[_TAG], value["value"], find)
    except _UNREADABLE as error:
        if isinstance(error, InvalidPayload):
            raise
        raise InvalidPayload(
            f"{value!r:.200} cannot be read: {type(error).__name__}: {error}"
        ) from error


def _untagged(name: str, value: Any, find: Find) -> Any:
    if name == "dict":
        return {key: unpack(item, find) for key, item in value.items()}
    if name == "model":
        label, pk, database = value
        key = unpack(pk, find)
        key = tuple(key) if isinstance(key, list) else key  # of several fields
        if not isinstance(label, str) or not isinstance(database, str):
            raise TypeError("a label and an alias are text")
        hash(key)
        return find(ModelReference(label, key, database))
    return _KINDS[name][2](value)


def _pack_moment(value: Any, where: str) -> Json:
    zone = value.tzinfo
    name = zone.key if isinstance(zone, ZoneInfo) else None
    if zone is not None and type(zone) is not timezone and not name:
        raise InvalidPayload(
            f"{where} has the tzinfo {zone!r}, which only Python's own types can "
            "keep. Pass it with a ZoneInfo, or in UTC."
        )
    if not name and not value.fold:
        return value.isoformat()
    plain = value.replace(tzinfo=None, fold=0) if name else value.replace(fold=0)
    return [plain.isoformat(), value.fold, name]


def _moment(kind: Any) -> Callable[[Any], Any]:
    def restore(packed: Any) -> Any:
        if isinstance(packed, str):
            return kind.fromisoformat(packed)
        text, fold, name = packed
        moment = kind.fromisoformat(text).replace(fold=fold)
        return moment.replace(tzinfo=ZoneInfo(name)) if name else moment

    return restore


def _as_text(value: Any, where: str) -> Json:
    return str(value)


def _pack_timedelta(value: timedelta, where: str) -> Json:
    return [value.days, value.seconds, value.microseconds]


def _as_base64(value: bytes, where: str) -> Json:
    return b64encode(value).decode("ascii")


# A datetime is a date, too, so it comes first.
_KINDS: dict[str, tuple[type, Callable[[Any, str], Json], Callable[[Any], Any]]] = {
    "datetime": (datetime, _pack_moment, _moment(datetime)),
    "date": (date, lambda value, where: value.isoformat(), date.fromisoformat),
    "time": (time, _pack_moment, _moment(time)),
    "timedelta": (timedelta, _pack_timedelta, lambda packed: timedelta(*packed)),
    "Decimal": (Decimal, _as_text, Decimal),
    "UUID": (UUID, _as_text, UUID),
    "bytes": (bytes, _as_base64, lambda packed: b64decode(packed, validate=True)),
}
