"""OPTIONS["engines"] of the entries of TASKS: which queue goes where."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from dbqueue import conf
from dbqueue.backend import DatabaseBackend, our_backends
from dbqueue.exceptions import MissingExtra
from dbqueue.relay.transports import Transport
from dbqueue.tasks.decorator import declared_tasks

OPTION = "engines"
TRACKS = ("full", "result", "handoff")
# More tokens are too much of one statement.
MOST_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What is said of the engine of a queue."""

    backend: str  # the alias in TASKS
    database: str
    queue: str
    transport: type[Transport]
    # What the transport itself wants to know.
    options: Mapping[str, Any] = field(default_factory=dict)
    # What the rows know: each start and end, with "full" by the engine's workers, with
    # "result" by the relay; that the engine has its message for sure, with "handoff".
    track: str = "full"
    # Seconds after which a message that has not started its job is published again.
    # Shorter notices lost messages sooner; longer than messages wait, none is repeated.
    dispatch_ttl: float = 900.0
    # Of "result": seconds without a word of a worker after which its jobs run again.
    lease: float = 120.0
    # Messages that may wait in the engine; the other jobs wait in the database.
    max_in_broker: int = 1_000
    # Jobs whose messages are published at a time, and threads that publish them.
    batch: int = 500
    publishers: int = 8

    def make(self) -> Transport:
        """Return its transport. Raises ImproperlyConfigured."""
        return self.transport(self.queue, self.options)


_OURS = {f.name for f in fields(Engine)} - {"backend", "database", "queue", "options"}


def are_given() -> bool:
    """Tell whether any entry of TASKS has engines, whatever else is in it."""
    entries = getattr(settings, "TASKS", None)
    for entry in entries.values() if isinstance(entries, Mapping) else ():
        options = entry.get("OPTIONS") if isinstance(entry, Mapping) else None
        if isinstance(options, Mapping) and options.get(OPTION):
            return True
    return False


def taken() -> dict[str, set[str]]:
    """Return the queues that have an engine, by the alias of their database."""
    found: dict[str, set[str]] = {}
    for backend in _storing().values() if are_given() else ():
        said = backend.options.get(OPTION)
        if said and isinstance(said, Mapping):
            found.setdefault(backend.database, set()).update(map(str, said))
    return found


def engines() -> list[Engine]:
    """Return all engines. Raises ImproperlyConfigured."""
    found = [e for backend in _storing().values() for e in engines_of(backend)]
    seen: dict[tuple[str, str], str] = {}
    for engine in found:
        first = seen.setdefault((engine.database, engine.queue), engine.backend)
        if first != engine.backend:
            raise ImproperlyConfigured(
                f"TASKS[{first!r}] and TASKS[{engine.backend!r}] both give the queue "
                f"{engine.queue!r} of database {engine.database!r} an engine. Leave "
                "one of them."
            )
    return found


def engine_of(backend: str, queue: str) -> Engine:
    """Return the engine of a queue. Raises ImproperlyConfigured if it has none."""
    for engine in engines():
        if (engine.backend, engine.queue) == (backend, queue):
            return engine
    raise ImproperlyConfigured(
        f"A message is of the queue {queue!r}, and TASKS[{backend!r}] has no engine "
        "for it here. Give the engine's workers the same TASKS as the relay."
    )


def engines_of(backend: DatabaseBackend) -> list[Engine]:
    """Return the engines of an entry of TASKS. Raises ImproperlyConfigured."""
    said = backend.options.get(OPTION, {})
    place = f"TASKS[{backend.alias!r}]['OPTIONS'][{OPTION!r}]"
    if not isinstance(said, Mapping):
        raise ImproperlyConfigured(
            f"{place} is {said!r}; it must be a dict of queues and their engines."
        )
    return [_engine(backend, place, name, about) for name, about in said.items()]


def demand_fit_tasks(engine: Engine) -> None:
    """Raise ImproperlyConfigured if a task of its queue cannot run in the engine."""
    if engine.track == "full":
        return
    for path, task in declared_tasks.items():
        place = (task.backend, task.queue_name)
        if task.atomic and place == (engine.backend, engine.queue):
            raise ImproperlyConfigured(
                f"{path!r} is atomic, and its queue {engine.queue!r} has an engine "
                f"with the track {engine.track!r}, whose workers cannot end it in its "
                "row. "
                "Drop atomic=True, or use the track 'full'."
            )


def _storing() -> dict[str, DatabaseBackend]:
    return {a: b for a, b in our_backends().items() if b.stores_jobs}


def _engine(backend: DatabaseBackend, place: str, queue: Any, said: Any) -> Engine:
    place = f"{place}[{queue!r}]"
    if not isinstance(said, Mapping):
        raise ImproperlyConfigured(f"{place} is {said!r}; it must be a dict.")
    if not isinstance(queue, str) or (backend.queues and queue not in backend.queues):
        near = conf.nearest(str(queue), backend.queues)
        raise ImproperlyConfigured(
            f"{place}: TASKS[{backend.alias!r}]['QUEUES'] has no such queue.{near}"
        )
    transport = _transport(place, said.get("transport"))
    _demand_known(place, said, _OURS | transport.OPTIONS)
    ours = {name: said[name] for name in _OURS & said.keys()}
    _demand_values(place, ours)
    _demand_track(place, said, transport, queue)
    return Engine(
        backend=backend.alias,
        database=backend.database,
        queue=queue,
        options={name: said[name] for name in said if name in transport.OPTIONS},
        **ours | {"transport": transport},
    )


def _transport(place: str, path: Any) -> type[Transport]:
    found = path
    if isinstance(path, str):
        try:
            found = import_string(path)
        except MissingExtra as error:
            raise ImproperlyConfigured(f"{place}['transport']: {error}") from error
        except ImportError as error:
            raise ImproperlyConfigured(
                f"{place}['transport'] is {path!r}, which cannot be imported: {error}"
            ) from error
    if not (isinstance(found, type) and issubclass(found, Transport)):
        raise ImproperlyConfigured(
            f"{place}['transport'] is {path!r}; it must be the dotted path of a "
            "Transport, such as 'dbqueue.relay.celery.CeleryTransport'."
        )
    return found


def _demand_known(place: str, said: Iterable[Any], known: Iterable[str]) -> None:
    for name in said:
        if name not in known:
            near = conf.nearest(str(name), known)
            raise ImproperlyConfigured(f"{place} has no {name!r}.{near}")


def _demand_values(place: str, said: Mapping[str, Any]) -> None:
    for name in ("batch", "publishers", "max_in_broker", "dispatch_ttl", "lease"):
        value, whole = said.get(name, 1), name not in ("dispatch_ttl", "lease")
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or value < 1:
            kind = "a whole number" if whole else "a number of seconds"
            raise ImproperlyConfigured(
                f"{place}[{name!r}] is {value!r}; it must be {kind} from 1."
            )
    if said.get("batch", 1) > MOST_AT_ONCE:
        raise ImproperlyConfigured(
            f"{place}['batch'] is {said['batch']!r}; it must be {MOST_AT_ONCE} or less."
        )


def _demand_track(
    place: str, said: Mapping[str, Any], transport: type[Transport], queue: str
) -> None:
    track = said.get("track", "full")
    if track not in TRACKS:
        near = conf.nearest(str(track), TRACKS)
        raise ImproperlyConfigured(
            f"{place}['track'] is {track!r}; it must be one of {', '.join(TRACKS)}."
            f"{near}"
        )
    if track not in transport.TRACKS:
        raise ImproperlyConfigured(
            f"{place}['track'] is {track!r}, which {transport.__qualname__} cannot do. "
            f"It has: {', '.join(sorted(transport.TRACKS))}."
        )
    if track != "result" and "lease" in said:
        raise ImproperlyConfigured(
            f"{place} has 'lease' with the track {track!r}; it is of the track "
            "'result'. Remove it: the workers of 'full' have that of DBQUEUE."
        )
    if track != "handoff":
        return
    if "dispatch_ttl" in said:
        raise ImproperlyConfigured(
            f"{place} has 'dispatch_ttl' with the track 'handoff': what the engine has "
            "confirmed is not published again. Remove it."
        )
    if "concurrency" in conf.current().queues.get(queue, {}):
        raise ImproperlyConfigured(
            f"{place} has the track 'handoff', and DBQUEUE['QUEUES'][{queue!r}] has "
            "'concurrency': nobody knows what runs in the engine. Limit its workers, "
            "or use the track 'full'."
        )
