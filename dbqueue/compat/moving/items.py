"""What was found in another queue's store, and what became of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django.db import Error, connections, transaction

from dbqueue.exceptions import DbqueueError
from dbqueue.tasks.framework import InvalidTask, InvalidTaskBackend

# Rows that are moved in one commit.
PORTION = 100
# What is wrong with one of them, and keeps none of the others from being moved.
REFUSALS = (
    *(DbqueueError, InvalidTask, InvalidTaskBackend),
    *(NotImplementedError, TypeError, ValueError, SyntaxError),
)


@dataclass(slots=True)
class Item:
    """One row: `outcome` is moved, there (it was moved before) or left."""

    kind: str
    source: str
    what: str = ""
    outcome: str = "moved"
    to: str = ""  # the id of the job, or of the schedule
    note: str = ""

    def __str__(self) -> str:
        words = f"{self.kind} {self.source} {self.what}: {self.outcome}"
        return f"{words}, {self.note}" if self.note else words

    def facts(self) -> dict[str, Any]:
        return asdict(self)


class Left(Exception):
    """Something that stays where it is; the message says why."""


@contextmanager
def told(item: Item, alias: str) -> Iterator[None]:
    """Note in the item why it is left; then nothing of it is written."""
    with noted(item), transaction.atomic(using=alias):
        yield


@contextmanager
def noted(item: Item) -> Iterator[None]:
    """Note in the item why it is left."""
    try:
        yield
    except (Left, *REFUSALS) as error:
        item.outcome, item.note = "left", str(error)
    except Error as error:
        item.outcome, item.note = "left", f"{type(error).__name__}: {error}".strip()


def portions(rows: Any, *, write: bool, size: int = PORTION) -> Iterator[list[Any]]:
    """Yield the rows by their keys, in parts; with `write`, each is one commit.

    Those that somebody else has locked are passed over.
    """
    after: Any = None
    while True:
        part = rows.order_by("pk")
        part = part if after is None else part.filter(pk__gt=after)
        if not write:
            found = list(part[:size])
            yield found
        else:
            with transaction.atomic(using=rows.db):
                if connections[rows.db].features.has_select_for_update_skip_locked:
                    part = part.select_for_update(skip_locked=True)
                found = list(part[:size])
                yield found
        if len(found) < size:
            return
        after = found[-1].pk


def id_of(source: str, key: object) -> UUID:
    """Return the id that what comes from a place has here, each time."""
    return uuid5(NAMESPACE_URL, f"dbqueue:{source}:{key}")


def counted(items: list[Item], kind: str) -> dict[str, int]:
    """Count the items of a kind by their outcomes."""
    found = [item.outcome for item in items if item.kind == kind]
    return {outcome: found.count(outcome) for outcome in ("moved", "there", "left")}
