"""Pages by key: the next begins where the last one ended, however deep it is."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from dbqueue.admin.listing.narrow import Order

Key = tuple[Any, ...]


def columns(order: Order) -> list[str]:
    return [name.lstrip("-") for name in order]


def key_of(row: Any, order: Order) -> Key:
    """Return what tells where a row stands in the order."""
    return tuple(getattr(row, name) for name in columns(order))


def reverse(order: Order) -> Order:
    return tuple(n[1:] if n.startswith("-") else f"-{n}" for n in order)


def beyond(
    rows: QuerySet[Any], order: Order, key: Key | None, *, inclusive: bool = False
) -> QuerySet[Any]:
    """Return the rows that come after the key."""
    if key is None:
        return rows
    first, names = order[0].lstrip("-"), columns(order)
    # That of the first column alone is a boundary of the index; the rest is filtered.
    boundary = Q(**{f"{first}__{_after(order[0])}e": key[0]})
    if len(order) == 1 and inclusive:
        return rows.filter(boundary)
    condition, equal = Q(), Q()
    for signed, name, value in zip(order, names, key, strict=True):
        condition |= equal & Q(**{f"{name}__{_after(signed)}": value})
        equal &= Q(**{name: value})
    if inclusive:
        condition |= equal
    return rows.filter(boundary & condition if len(order) > 1 else condition)


def up_to(rows: QuerySet[Any], order: Order, key: Key | None) -> QuerySet[Any]:
    """Return the rows that do not come after the key."""
    return beyond(rows, reverse(order), key, inclusive=True)


def encoded(key: Sequence[Any]) -> str:
    """Return the key for an address."""
    texts = [_text(value) for value in key]
    return urlsafe_b64encode(json.dumps(texts).encode()).decode().rstrip("=")


def decoded(text: str, order: Order) -> Key | None:
    """Return the key that an address has; None if it is none of this order."""
    try:
        padded = text + "=" * (-len(text) % 4)
        values = json.loads(urlsafe_b64decode(padded.encode()))
        names = columns(order)
        if not isinstance(values, list) or len(values) != len(names):
            return None
        return tuple(map(_value, names, values))
    except (TypeError, ValueError, AttributeError):
        return None


def _after(signed: str) -> str:
    return "lt" if signed.startswith("-") else "gt"


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _value(name: str, value: Any) -> Any:
    if name == "id":
        return UUID(value)
    if name.endswith("_at") or name == "run_after":
        return datetime.fromisoformat(value)
    if name == "priority":
        return int(value)
    return str(value)
