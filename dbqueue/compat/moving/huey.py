"""What waits in the SQLite file of huey, whose messages are pickles without a key.

They are read by a reader that calls nothing: text, numbers, lists, and the types of a
short list. A pickle of anything else stays where it is.
"""

import io
import pickle
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.utils import timezone

from dbqueue.backend import DatabaseBackend
from dbqueue.compat.moving import statements
from dbqueue.compat.moving.items import Item, Left, id_of, told
from dbqueue.compat.moving.jobs import Found, move

_MESSAGE = ("huey.registry", "Message")
_EXPIRES = 11  # the place of the moment from which it is not started any more
_SAFE = {
    *(("datetime", name) for name in ("date", "datetime", "time", "timedelta")),
    *(("datetime", "timezone"), ("decimal", "Decimal"), ("uuid", "UUID")),
    *(("builtins", name) for name in ("set", "frozenset", "complex", "range")),
}


class Message(tuple[Any, ...]):
    """What huey keeps of a task; a newer version of it has more fields."""

    def __new__(cls, *values: Any) -> "Message":
        return super().__new__(cls, values)


class Reader(pickle.Unpickler):
    """Reads a message; it finds no class, and so calls nothing, that is not listed."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == _MESSAGE:
            return Message
        if (module, name) in _SAFE:
            return super().find_class(module, name)
        raise Left(f"it has a {module}.{name}, which is not opened")


def move_jobs(
    path: Path, backend: DatabaseBackend, *, queue: str | None, write: bool
) -> Iterator[Item]:
    """Move what waits and what is scheduled; it is deleted from the file.

    Raises sqlite3.Error for a file that is none of huey's.
    """
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as db:
        for table, sql in statements.HUEY.items():
            for key, data in db.execute(sql.read).fetchall():
                item = Item("job", f"{table}:{key}")
                with told(item, backend.database):
                    found = _found(read(data), table, queue)
                    move(found, backend, item, write=write)
                if write and item.outcome != "left":
                    with db:  # after the commit: a job is there twice rather than lost
                        db.execute(sql.delete, [key])
                yield item


def read(data: bytes) -> Message:
    """Return the message of a row. Raises Left."""
    try:
        plain = zlib.decompress(data) if data[:1] == b"\x78" else data
        found = Reader(io.BytesIO(plain)).load()
    except Left:
        raise
    except Exception as error:  # whatever the bytes make of it
        raise Left(f"it cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(found, Message) or len(found) < 9:
        raise Left("it is no message of huey's")
    return found


def _found(message: Message, table: str, queue: str | None) -> Found:
    id, path, eta, _, _, *rest = message
    has_priority = len(message) > 9
    priority = rest[0] if has_priority else None
    args, kwargs, then = rest[has_priority], rest[has_priority + 1], rest[2:]
    if any(isinstance(more, Message) for more in then):
        raise Left("another task follows it; let a consumer run it")
    return Found(
        id=_id(id, table),
        path=path,
        args=args or (),
        kwargs=kwargs or {},
        queue_name=queue,
        priority=None if priority is None else max(-100, min(100, int(priority))),
        run_after=_aware(eta),
        expires=_aware(message[_EXPIRES]) if len(message) > _EXPIRES else None,
    )


def _id(given: Any, table: str) -> UUID:
    try:
        return UUID(str(given))
    except ValueError:
        return id_of(f"huey:{table}", given)


def _aware(eta: Any) -> datetime | None:
    if not isinstance(eta, datetime):
        return None
    # Naive ones are of UTC, by default.
    return eta.replace(tzinfo=UTC) if timezone.is_naive(eta) else eta
