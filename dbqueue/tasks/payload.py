"""The strict JSON round trip that arguments, results and contexts pass.

What a job receives is what any database gives back, so whatever JSON would silently
change or a database would refuse is refused here, by name.
"""

import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Model, QuerySet
from django.utils.functional import Promise

from dbqueue import conf
from dbqueue.dialects.columns import ClaimedJob, HeldJob
from dbqueue.exceptions import InvalidPayload, PayloadTooLarge
from dbqueue.tasks import signatures

Json = Any  # None, bool, int, float, str, and lists and string-keyed dicts of these

_ADVICE: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (Model, "Pass its pk and load it in the job."),
    (QuerySet, "Pass a list of primary keys."),
    ((datetime, date, time), "Pass value.isoformat()."),
    (timedelta, "Pass value.total_seconds()."),
    ((Decimal, UUID), "Pass str(value)."),
    ((bytes, bytearray, memoryview), "Store the bytes and pass their key."),
    ((set, frozenset), "Pass sorted(value)."),
)


# What json.loads() raises: for what is no text, is no JSON, or is nested too deeply.
UNREADABLE = (TypeError, ValueError, RecursionError)
_EMPTY: dict[type, str] = {list: "[]", dict: "{}"}
# What comes back as it is; most values are of these types.
_KEPT = frozenset((int, bool, type(None)))


def _encoder() -> Callable[[Json], str]:
    """Return what encodes a normalized value, which does not contain itself.

    As JSONEncoder.encode() does, but for the parts that this makes anew in every call.
    """
    public = json.JSONEncoder(
        ensure_ascii=False, separators=(",", ":"), check_circular=False
    )
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # in no other Python than CPython
        return public.encode
    text, flags = json.encoder.encode_basestring, (False, False, True)
    chunks = make(None, public.default, text, None, ":", ",", *flags)
    return lambda value: "".join(chunks(value, 0))


_encode = _encoder()


def normalize(value: Any, where: str) -> Json:
    """Return the value as it will come back from the database.

    `where` names it in errors. Raises InvalidPayload.
    """
    try:
        return _normal(value, where)
    except RecursionError:
        raise InvalidPayload(
            f"{where} is nested too deeply, or contains itself."
        ) from None


def arguments(
    args: Any, kwargs: Mapping[str, Any]
) -> tuple[list[Json], dict[str, Json]]:
    """Return the normalized arguments of a call. Raises InvalidPayload."""
    return (
        [
            item if type(item) in _KEPT else normalize(item, f"Argument {i}")
            for i, item in enumerate(args, 1)
        ],
        {
            key: normalize(item, f"Argument {check_key(key, 'The call')!r}")
            for key, item in kwargs.items()
        },
    )


class Call(NamedTuple):
    """The arguments of one call, as the job will get them and as JSON text."""

    args: list[Json]
    kwargs: dict[str, Json]
    args_text: str
    kwargs_text: str


# The call without arguments, before those of each job of enqueue_many() are known.
EMPTY = Call([], {}, "[]", "{}")


def call(task: Any, args: Any, kwargs: Mapping[str, Any]) -> Call:
    """Return the call as it is stored.

    Raises WrongArguments, InvalidPayload and PayloadTooLarge.
    """
    # The context is one more; whether they fit depends on nothing else.
    shape = (task.func, len(args) + task.takes_context, *kwargs)
    if shape not in signatures.accepted:
        signatures.check(task, args, kwargs)
    checked_args, checked_kwargs = arguments(args, kwargs)
    return Call(
        checked_args,
        checked_kwargs,
        dump(checked_args, "The arguments"),
        dump(checked_kwargs, "The keyword arguments") if kwargs else "{}",
    )


def dump(value: Json, where: str) -> str:
    """Return the JSON text of a normalized value.

    Raises PayloadTooLarge past `MAX_PAYLOAD` bytes and InvalidPayload for integers of
    more digits than Python converts.
    """
    try:
        text = _encode(value)
    except ValueError as error:
        raise InvalidPayload(f"{where} cannot be written as JSON: {error}") from error
    limit = conf.current().max_payload
    # A character is at most 4 bytes: only long texts have to be measured.
    if len(text) * 4 > limit and len(text.encode()) > limit:
        raise PayloadTooLarge(
            f"{where}: {len(text.encode()):,} bytes of JSON; the limit is {limit:,}. "
            "Store the data and pass its key, or raise DBQUEUE['MAX_PAYLOAD']."
        )
    return text


def result(value: Any) -> str:
    """Return the JSON text of what a task returned. Raises InvalidPayload."""
    return dump(normalize(value, "The result"), "The result")


def read(job: ClaimedJob | HeldJob, column: str, kind: type) -> Any:
    """Return the value of a JSON column. Raises InvalidPayload if it was damaged."""
    text = getattr(job, column)
    if text == _EMPTY[kind]:
        return kind()
    try:
        value = json.loads(text)
    except UNREADABLE as error:
        raise InvalidPayload(
            f"Column {column!r} of job {job.id} is not valid JSON: {error}"
        ) from error
    if not isinstance(value, kind):
        raise InvalidPayload(
            f"Column {column!r} of job {job.id} holds no {kind.__name__}: {text[:80]!r}"
        )
    return value


def printable(text: str) -> str:
    """Return the text with NUL and lone surrogates, which databases refuse, escaped."""
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()


def _normal(value: Any, where: str) -> Json:
    kind = type(value)
    if kind in _KEPT:
        return value
    if kind is str:
        return _text(value, where)
    if isinstance(value, Promise):
        raise InvalidPayload(f"{where} is a lazy string. Pass str(value).")
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _number(float(value), where)
    if isinstance(value, (list, tuple)):
        return [
            item if type(item) in _KEPT else _normal(item, f"{where}[{i}]")
            for i, item in enumerate(value)
        ]
    if isinstance(value, Mapping):
        return {
            check_key(key, where): _normal(item, f"{where}[{key!r}]")
            for key, item in value.items()
        }
    advice = (words for kinds, words in _ADVICE if isinstance(value, kinds))
    raise InvalidPayload(
        f"{where} is of type {type(value).__name__!r}, which is not JSON. "
        f"{next(advice, 'Pass its parts as JSON types.')}"
    )


def _number(value: float, where: str) -> float | int:
    if not math.isfinite(value):
        raise InvalidPayload(f"{where} is {value!r}, which JSON does not have.")
    # Postgres keeps numbers as decimals: these come back as integers, and -0.0 as 0.0.
    return int(value) if abs(value) >= 1e16 else value + 0.0


def check_key(key: Any, where: str) -> str:
    """Return the key of a dict, `where`, as it is kept. Raises InvalidPayload."""
    if not isinstance(key, str):
        raise InvalidPayload(
            f"{where} has the key {key!r}; JSON keeps string keys only. Pass str(key)."
        )
    return _text(key, where)


def _text(value: str, where: str) -> str:
    if "\x00" in value:
        raise InvalidPayload(
            f"{where} contains a NUL character, which Postgres refuses."
        )
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidPayload(
                f"{where} contains a lone surrogate, which is not valid text."
            ) from None
    # A SimpleLazyObject only claims to be a string.
    return str.__str__(value) if issubclass(type(value), str) else str(value)
