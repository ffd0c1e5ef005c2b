"""Moments as SQLite keeps them, in text, by the clock of its only host."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connections
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from dbqueue.dialects.rows import as_kept

# A calculation finds a day that there is not. It rounds to milliseconds, and so what is
# less than a second stays out of it.
IS_MOMENT = """typeof({0}) = 'text' AND datetime({0}) IS NOT NULL
    AND datetime(substr({0}, 1, 19), '+0 days') = substr({0}, 1, 19)"""


class Timestamps:
    """Writes and reads moments as Django does on the connection of the alias."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def now(self, delay: float = 0.0) -> str:
        """Return the moment that is `delay` seconds away."""
        return self.write(timezone.now() + timedelta(seconds=delay))

    def write(self, moment: datetime) -> str:
        operations: Any = connections[self._alias].ops
        return str(operations.adapt_datetimefield_value(as_kept(moment)))

    def far(self) -> datetime:
        """Return what stands for a moment that cannot be read."""
        return self._aware(datetime.max)

    def read(self, value: str | datetime | None) -> datetime | None:
        """Return the moment. Raises ValueError or TypeError if it is none."""
        if value is None:
            return None
        moment = value if isinstance(value, datetime) else parse_datetime(value)
        if moment is None:
            raise ValueError(f"{value!r} is not a moment.")
        return self._aware(moment)

    def _aware(self, moment: datetime) -> datetime:
        zone = connections[self._alias].timezone
        if zone is None or timezone.is_aware(moment):
            return moment
        return timezone.make_aware(moment, zone)
