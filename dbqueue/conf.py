"""The DBQUEUE setting: every key, its unit and its default."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import empty

DAY = 86_400.0  # seconds
MB = 1_000_000  # bytes


UPLOAD_LIMITS = (
    "upload_max_size",
    "upload_bytes",
    "upload_bytes_per_owner",
    "uploads_per_owner",
    "keep_uploads",
    "keep_failed_uploads",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One field a key, in lower case here and in upper case in DBQUEUE."""

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
    # Seconds a job may run, where the task names no other; None = as long as it likes.
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
    # Bytes of one file that BlobUploadHandler takes in, at most 100 MB; files that come
    # another way are limited by their policy alone.
    upload_max_size: int = 20 * MB
    # Bytes of all uploads that wait, altogether and of one owner, and how many of one
    # owner may wait. None = no limit.
    upload_bytes: int | None = None
    upload_bytes_per_owner: int | None = 200 * MB
    uploads_per_owner: int | None = 50
    # Seconds the record of an upload that has ended is kept, and the bytes of one that
    # failed. Bytes that were received and never saved go after a day.
    keep_uploads: float = 7 * DAY
    keep_failed_uploads: float = 30 * DAY

    def __post_init__(self) -> None:
        for name in ("lease", "poll_interval", "sqlite_poll_interval"):
            _demand(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        for name in ("processes", "threads", "async_concurrency", "max_payload"):
            value = getattr(self, name)
            _demand(value >= 1, name, value, "at least 1")
        for name in ("grace", "keep_successful", "keep_failed"):
            value = getattr(self, name)
            _demand(value is None or value >= 0, name, value, "0 or more")
        for name in UPLOAD_LIMITS:
            value = getattr(self, name)
            _demand(value is None or value >= 1, name, value, "at least 1")
        size = self.upload_max_size
        _demand(size <= 100 * MB, "upload_max_size", size, f"at most {100 * MB}")
        timeout, attempts = self.timeout, self.max_attempts
        _demand(timeout is None or timeout > 0, "timeout", timeout, "above 0")
        _demand(1 <= attempts <= 32_767, "max_attempts", attempts, "from 1 to 32767")


def current() -> Settings:
    """Return the settings in force.

    Raises ImproperlyConfigured for an unknown key or a value of the wrong kind.
    """
    global _seen
    # What `settings` wraps: it takes microseconds itself to say that there is none.
    wrapped = object.__getattribute__(settings, "__dict__").get("_wrapped", empty)
    raw = getattr(settings if wrapped is empty else wrapped, "DBQUEUE", _EMPTY)
    # `override_settings` brings another dict: identity tells a change without a reset.
    if _seen[0] is not raw:
        _seen = (raw, _parse(raw))
    return _seen[1]


def nearest(name: str, names: Any) -> str:
    """Return " Did you mean 'x'?" for the closest of the names, or nothing."""
    close = get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _parse(raw: Any) -> Settings:
    if not isinstance(raw, Mapping):
        raise ImproperlyConfigured(f"DBQUEUE must be a dict, not {raw!r}.")
    kinds = {field.name.upper(): _kind(field.type) for field in fields(Settings)}
    for key, value in raw.items():
        if key not in kinds:
            raise ImproperlyConfigured(
                f"DBQUEUE has no key {key!r}.{nearest(str(key), kinds)}"
            )
        if not _is_a(value, kinds[key]):
            raise ImproperlyConfigured(
                f"DBQUEUE[{key!r}] is {value!r}; it must be of type {kinds[key]}."
            )
    return Settings(**{key.lower(): value for key, value in raw.items()})


def _kind(annotation: Any) -> str:
    return str(getattr(annotation, "__name__", annotation))


def _is_a(value: Any, kind: str) -> bool:
    if value is None:
        return "None" in kind
    if isinstance(value, bool) or kind == "bool":
        return isinstance(value, bool) and kind == "bool"
    return isinstance(value, int) or (isinstance(value, float) and "float" in kind)


def _demand(holds: bool, name: str, value: Any, bound: str) -> None:
    if not holds:
        raise ImproperlyConfigured(
            f"DBQUEUE[{name.upper()!r}] is {value!r}; it must be {bound}."
        )


_EMPTY: Mapping[str, Any] = {}
_seen: tuple[Any, Settings] = (_EMPTY, Settings())
