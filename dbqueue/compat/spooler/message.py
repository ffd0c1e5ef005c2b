"""What a call says: its values as text, and when, where and with what it is run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.functional import Promise

from dbqueue.compat import conf
from dbqueue.exceptions import InvalidPayload
from dbqueue.tasks.framework import TASK_MAX_PRIORITY

# What a call with `pass_arguments` takes out of its keyword arguments.
SPECIAL = ("message_dict", "spooler", "priority", "at", "body")


@dataclass(slots=True)
class Request:
    """How one call is to be run."""

    queue_name: str | None = None
    priority: int | None = None
    run_after: datetime | timedelta | None = None
    body: bytes | None = None


def named(message: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the special keys of a message, which may be bytes."""
    plain = {k.decode() if isinstance(k, bytes) else k: v for k, v in message.items()}
    return {key: plain[key] for key in SPECIAL if key in plain}


def request_of(given: Mapping[str, Any]) -> Request:
    """Return what the special keys say.

    Raises InvalidPayload, a TypeError, for a wrong type, and ValueError for a value
    that cannot be read.
    """
    made = Request()
    if given.get("spooler") is not None:
        made.queue_name = queue_of(given["spooler"])
    if given.get("priority") is not None:
        made.priority = _priority(given["priority"])
    if given.get("at") is not None:
        made.run_after = _moment(given["at"])
    if given.get("body") is not None:
        made.body = _body(given["body"])
    return made


def texts(message: Mapping[Any, Any]) -> dict[str, str]:
    """Return the values of a message as the function gets them. Raises InvalidPayload.

    Its body is none of them.
    """
    found = {}
    for key, value in message.items():
        name = _text(key, f"The key {key!r}")
        if name == "at" and isinstance(value, datetime | timedelta):
            found[name] = str(value)
        elif name != "body":
            found[name] = _text(value, f"Value {name!r}")
    return found


def raw(told: Mapping[str, Any]) -> dict[Any, Any]:
    """Return a message as uWSGI has it without its decorators: of bytes.

    The keys `spooler_task_name` and `body` alone are text.
    """
    return {
        key if key in ("spooler_task_name", "body") else key.encode(): (
            value if isinstance(value, bytes) else str(value).encode()
        )
        for key, value in told.items()
    }


def queue_of(place: Any) -> str:
    """Return the queue that stands for a directory, or the target of a timer."""
    path = _text(place, "spooler")
    known = conf.current().spoolers
    return str(known.get(path) or os.path.basename(path.rstrip("/")))


def _text(value: Any, what: str) -> str:
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InvalidPayload(
                f"{what} is {value!r:.100}, which is not UTF-8. Give bytes as `body`."
            ) from None
    if isinstance(value, str | Promise):
        return str(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise InvalidPayload(
        f"{what} of a spooled call is {value!r:.100}, of type "
        f"{type(value).__name__!r}; it must be text, or bytes, or a number. Decorate "
        "the function with @spool(pass_arguments=True) to give it other arguments."
    )


def _priority(value: Any) -> int:
    text = _text(value, "priority")
    if not text.isdecimal():
        raise ValueError(
            f"priority={value!r} must be a whole number from 0; a low one comes first."
        )
    # What names no priority has 0, and comes last.
    return max(1, TASK_MAX_PRIORITY - int(text))


def _moment(value: Any) -> datetime | timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, datetime):
        return timezone.make_aware(value) if timezone.is_naive(value) else value
    text = _text(value, "at")
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"at={value!r} must be seconds since 1970, such as time.time() + 60, or a "
            "datetime, or a timedelta."
        ) from None


def _body(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise InvalidPayload(f"body is of type {type(value).__name__!r}; it must be bytes.")
