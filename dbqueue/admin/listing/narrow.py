"""From what is wanted to conditions: those that an index serves, and the others.

The others are asked of the newest rows only, so that no filter reads a whole table.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.fields.json import KeyTransform

from dbqueue import dialects
from dbqueue.admin.listing.search import AGES, Wanted, as_uuid
from dbqueue.models import FinishedJob, Job, JobState, Worker
from dbqueue.tasks.context import SCHEDULE
from dbqueue.tasks.decorator import declared_tasks

Order = tuple[str, ...]
_BY_ID: Order = ("-id",)


@dataclass(slots=True)
class Narrowed:
    """Rows, in an order that an index has; `rest` is what is asked of some of them."""

    rows: QuerySet[Any]
    order: Order
    rest: Q = field(default_factory=Q)
    # Paths into JSON that the rest names.
    aliases: dict[str, Any] = field(default_factory=dict)

    @property
    def is_windowed(self) -> bool:
        return bool(self.rest)

    def matching(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return which of the rows match the rest."""
        return rows.alias(**self.aliases).filter(self.rest) if self.rest else rows


def narrow(rows: QuerySet[Any], wanted: Wanted) -> Narrowed:
    """Return what is wanted of the rows of Job or FinishedJob."""
    order = order_of(rows.model, wanted)
    found = Narrowed(rows, order)
    if wanted.state:
        found.rows = rows.filter(state=wanted.state)
    if wanted.ids:
        found.rows = found.rows.filter(pk__in=[id for id in wanted.ids if id])
    _by_age(found, wanted)
    _by_queue(found, wanted)
    _by_worker(found, wanted)
    for name in ("task", "exception", "lane"):
        _by_text(found, name, getattr(wanted, name))
    for word in wanted.words:
        found.rest &= Q(task__icontains=word)
    if wanted.schedule:
        found.aliases["_tick"] = KeyTransform(SCHEDULE, "context")
        found.aliases["_schedule"] = KeyTransform("name", F("_tick"))
        found.rest &= Q(_schedule=wanted.schedule)
    for n, (path, value) in enumerate(wanted.arguments):
        found.rest &= _argument(found, n, path, value)
    return found


def order_of(model: type, wanted: Wanted) -> Order:
    """Return the order of the rows: as they are claimed next, or the newest first."""
    if model is FinishedJob:
        return ("-finished_at", "-id") if wanted.state else _BY_ID
    ready: Order = ("-priority", "enqueued_at", "id")
    orders: dict[str, Order] = {
        JobState.READY: ready if wanted.queue else ("queue_name", *ready),
        JobState.SCHEDULED: ("run_after", "id"),
        JobState.RUNNING: ("last_attempted_at", "id"),
    }
    return orders.get(wanted.state, _BY_ID)


def _by_age(found: Narrowed, wanted: Wanted) -> None:
    if not wanted.age:
        return
    clock = dialects.of(found.rows.db).clock()
    since = clock - timedelta(seconds=AGES[wanted.age])
    if found.order[0] == "-finished_at":
        found.rows = found.rows.filter(finished_at__gte=since)
    elif found.rows.model is FinishedJob:
        found.rest &= Q(finished_at__gte=since)
    else:
        found.rest &= Q(enqueued_at__gte=since)


def _by_queue(found: Narrowed, wanted: Wanted) -> None:
    if not wanted.queue:
        return
    condition = Q(queue_name=wanted.queue)
    if found.rows.model is Job and wanted.state == JobState.READY:
        found.rows = found.rows.filter(condition)
    else:
        found.rest &= condition


def _by_worker(found: Narrowed, wanted: Wanted) -> None:
    if not wanted.worker:
        return
    id = as_uuid(wanted.worker)
    # By its name, all that had it within a day.
    named = Worker.everyone.using(found.rows.db).filter(name=wanted.worker)
    ids = [id] if id else list(named.values_list("pk", flat=True)[:100])
    if found.rows.model is Job and wanted.state == JobState.RUNNING:
        found.rows = found.rows.filter(worker_id__in=ids)
    else:
        found.rest &= Q(worker_id__in=ids)


def _by_text(found: Narrowed, name: str, text: str) -> None:
    if not text:
        return
    if name == "exception" and found.rows.model is Job:
        found.rest &= Q(attempt_log__icontains=text)
    elif name == "lane" or (name == "task" and text in declared_tasks):
        found.rest &= Q(**{name: text})
    else:
        found.rest &= Q(**{f"{name}__icontains": text})


def _argument(found: Narrowed, n: int, path: list[str], value: Any) -> Q:
    """Return the condition on an argument, however it was passed."""
    found.aliases[f"_named{n}"] = _inside("kwargs", path)
    condition = _equals(f"_named{n}", value)
    places = {_place(task, path[0]) for task in declared_tasks.values()}
    if path[0].isdecimal():
        places.add(int(path[0]))
    for place in sorted(place for place in places if place is not None):
        found.aliases[f"_given{n}_{place}"] = _inside("args", [str(place), *path[1:]])
        given = _equals(f"_given{n}_{place}", value)
        if not path[0].isdecimal():
            tasks = [
                t
                for t, task in declared_tasks.items()
                if _place(task, path[0]) == place
            ]
            given &= Q(task__in=tasks)
        condition |= given
    # To read the JSON of each row takes long: most do not even have the letters.
    letters = str(value)
    if isinstance(value, str | int) and letters.isascii() and letters.isalnum():
        has_letters = Q(kwargs__icontains=letters) | Q(args__icontains=letters)
        return has_letters & condition
    return condition


def _equals(name: str, value: Any) -> Q:
    # What was typed as 77 may be a number or a text.
    condition = Q(**{name: value})
    return condition if isinstance(value, str) else condition | Q(**{name: str(value)})


def _inside(column: str, path: list[str]) -> KeyTransform:
    transform: Any = F(column)
    for key in path:
        transform = KeyTransform(int(key) if key.isdecimal() else key, transform)
    return transform  # type: ignore[no-any-return]


def _place(task: Any, name: str) -> int | None:
    code = task.func.__code__ if hasattr(task.func, "__code__") else None
    if code is None:
        return None
    names = code.co_varnames[int(task.takes_context) : code.co_argcount]
    return names.index(name) if name in names else None
