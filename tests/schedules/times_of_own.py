"""A cadence of a project's own."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dbqueue import Cadence

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Noons(Cadence):
    kind = "noons"

    days: int = 1

    def after(self, moment):
        period = timedelta(days=self.days)
        return NOON + ((moment - NOON) // period + 1) * period

    def words(self):
        return f"At noon, each {self.days} days"
