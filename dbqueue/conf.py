"""The DBQUEUE setting: every key, its unit and its default.

A wing's keys stand in a dict of their own, under the wing's name, and in its `conf`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, ClassVar, TypeVar, get_origin

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import empty

from dbqueue import wings

DAY = 86_400.0  # seconds
MB = 1_000_000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One field a key, in lower case here and in upper case in DBQUEUE."""

    PLACE: ClassVar[str] = "DBQUEUE"

    # Seconds a worker counts as alive without a heartbeat; a dead host's jobs run
    # again after it. Longer survives longer database outages, shorter recovers sooner.
    lease: float = 30.0
    # Seconds between looks at the queue when nothing wakes the worker. SQLite has no
    # NOTIFY; there it looks for commits to the file every SQLITE_POLL_INTERVAL seconds.
    poll_interval: float = 1.0
    sqlite_poll_interval: float = 0.01
    # Wake workers through NOTIFY. Switch off behind a pooler in transaction mode.
    notify: bool = True
    # Attempts that may fail before a job is FAILED, where the task names no other.
    max_attempts: int = 5
    # Seconds a job may run, where the task names no other; None = no limit.
    timeout: float | None = None
    # Child processes of one `runworker`, threads for sync jobs in each, and async jobs
    # that run at once on the event loop of each.
    processes: int = 1
    threads: int = 4
    async_concurrency: int = 100
    # Seconds a stopping worker gives running jobs before it releases them.
    grace: float = 25.0
    # Bytes of JSON: of one job's arguments, of its result, of its context.
    max_payload: int = 1_048_576
    # Seconds a finished job is kept; None = for ever. Failed covers cancelled, too.
    keep_successful: float | None = 7 * DAY
    keep_failed: float | None = 30 * DAY
    # Patterns of names, as a shell has them, of arguments and of keys in them whose
    # values the admin does not show.
    redact: tuple[str, ...] = ("*password*", "*secret*", "*token*", "*api_key*")
    # Whether `manage.py runserver` has a worker beside it, which restarts with it.
    runserver: bool = False
    # Limits of queues by their names: {"mail": {"concurrency": 10}} lets 10 jobs of it
    # run at once, over all workers.
    queues: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        above_0 = ("lease", "poll_interval", "sqlite_poll_interval", "timeout")
        demand(self, above_0, lambda value: value > 0, "above 0")
        at_least_1 = ("processes", "threads", "async_concurrency", "max_payload")
        demand(self, at_least_1, lambda value: value >= 1, "at least 1")
        # More is no jsonb for PostgreSQL, and too much of one statement.
        demand(
            self, ("max_payload",), lambda value: value <= 250 * MB, "250000000 or less"
        )
        not_negative = ("grace", "keep_successful", "keep_failed")
        demand(self, not_negative, lambda value: value >= 0, "0 or more")
        attempts = ("max_attempts",)
        demand(self, attempts, lambda value: 1 <= value <= 32_767, "from 1 to 32767")
        for name, limits in self.queues.items():
            _demand_limits(f"{self.PLACE}['QUEUES'][{name!r}]", name, limits)


S = TypeVar("S")


def _demand_limits(place: str, name: Any, limits: Any) -> None:
    if not isinstance(name, str):
        raise ImproperlyConfigured(f"{place}: the name of a queue must be a str.")
    for key in _as_dict(limits, place):
        if key != "concurrency":
            near = nearest(str(key), ["concurrency"])
            raise ImproperlyConfigured(f"{place} has no key {key!r}.{near}")
    most = limits.get("concurrency", 1)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ImproperlyConfigured(
            f"{place}['concurrency'] is {most!r}; it must be a whole number from 1. To "
            "let nothing run, pause the queue."
        )


def section(kind: type[S], key: str | None = None) -> Callable[[], S]:
    """Return the function that reads DBQUEUE, or the dict under a key of it, as `kind`.

    `kind` is a dataclass of the keys, and has in PLACE what errors call the dict. The
    function raises ImproperlyConfigured for an unknown key or a wrong value.
    """
    seen: tuple[Any, S] = (_EMPTY, kind())

    def current() -> S:
        """Return the settings in force."""
        nonlocal seen
        # What `settings` wraps: it takes microseconds itself to say that there is none.
        wrapped = object.__getattribute__(settings, "__dict__").get("_wrapped", empty)
        raw = getattr(settings if wrapped is empty else wrapped, "DBQUEUE", _EMPTY)
        # `override_settings` brings another dict: identity shows a change.
        if seen[0] is not raw:
            seen = (raw, _parse(raw, kind, key))
        return seen[1]

    return current


def _parse(raw: Any, kind: Any, key: str | None) -> Any:
    part = _as_dict(raw, "DBQUEUE")
    sections = {conf.KEY for conf in wings.modules("conf")}
    if key is None:
        part = {name: value for name, value in part.items() if name not in sections}
    else:
        part, sections = _as_dict(part.get(key, _EMPTY), kind.PLACE), set()
    kinds = {item.name.upper(): _type_of(item.type) for item in fields(kind)}
    for name, value in part.items():
        if name not in kinds:
            raise ImproperlyConfigured(_unknown(kind.PLACE, name, {*kinds, *sections}))
        if not _is_a(value, kinds[name]):
            raise ImproperlyConfigured(
                f"{kind.PLACE}[{name!r}] is {value!r}; it must be of type "
                f"{kinds[name]}."
            )
    return kind(**{name.lower(): value for name, value in part.items()})


def demand(
    given: Any, names: tuple[str, ...], holds: Callable[[Any], bool], bound: str
) -> None:
    """Raise ImproperlyConfigured for a setting that is outside its bound; None is not.

    `bound` says in words what `holds` asks.
    """
    for name in names:
        value = getattr(given, name)
        if value is not None and not holds(value):
            raise ImproperlyConfigured(
                f"{given.PLACE}[{name.upper()!r}] is {value!r}; it must be {bound}."
            )


def nearest(name: str, names: Any) -> str:
    """Return " Did you mean 'x'?" for the closest of the names, or nothing."""
    close = get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _as_dict(raw: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise ImproperlyConfigured(f"{place} must be a dict, not {raw!r}.")
    return raw


def _unknown(place: str, key: Any, known: Iterable[str]) -> str:
    for module in wings.modules("conf"):
        if key in module.RENAMED:
            return f"{place}[{key!r}] has moved. Set {module.RENAMED[key]}."
    return f"{place} has no key {key!r}.{nearest(str(key), known)}"


def _type_of(annotation: Any) -> str:
    if get_origin(annotation) is tuple:
        return "tuple"
    return str(getattr(annotation, "__name__", annotation))


def _is_a(value: Any, kind: str) -> bool:
    if value is None:
        return "None" in kind
    if isinstance(value, bool) or kind == "bool":
        return isinstance(value, bool) and kind == "bool"
    if kind == "tuple":
        is_several = isinstance(value, list | tuple)
        return is_several and all(isinstance(item, str) for item in value)
    if isinstance(value, str):
        return "str" in kind
    if isinstance(value, Mapping):
        return "Mapping" in kind
    return isinstance(value, int) or (isinstance(value, float) and "float" in kind)


_EMPTY: Mapping[str, Any] = {}
current = section(Settings)
