"""DBQUEUE["SCHEDULES"]: every key, its unit and its default."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dbqueue.conf import section


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings:
    """One field a key, in lower case here and in upper case in the dict."""

    PLACE: ClassVar[str] = "DBQUEUE['SCHEDULES']"

    # Schedules by name: a dict with "task", one of "cron" (with "timezone"), "every"
    # (with "offset") and "at", and the options of schedule().
    entries: Mapping[str, Any] = field(default_factory=dict)


RENAMED: dict[str, str] = {}
KEY = "SCHEDULES"
current = section(ScheduleSettings, KEY)
