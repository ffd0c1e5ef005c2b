"""A crontab's line, as it is read, on a clock that is never changed."""

import re
from datetime import datetime

from cronsim import CronSim, CronSimError

from dbqueue.schedules.exceptions import InvalidSchedule
from dbqueue.schedules.times.words import of_line

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_LENGTH = 200  # characters of a line
# A stretch of one, with a step: cronsim would go on from it, as from "5/10".
_LONE = re.compile(r"(?<![\w-])(\w+)-\1/[1-9]\d*(?!\w)")
_ANY = datetime(2026, 1, 1)


def plain(expression: str) -> str:
    """Return the fields of a line, of which it may be a short name."""
    return _LONE.sub(r"\1", MACROS.get(expression.lower(), expression))


def times(expression: str, after: datetime, *, both_days: bool) -> CronSim:
    """Return the times of a line after a moment, one after the other."""
    found = CronSim(plain(expression), after)
    found.day_and = found.day_and or both_days
    return found


def words(expression: str, *, both_days: bool) -> str:
    """Return it in plain words."""
    return of_line(times(expression, _ANY, both_days=both_days))


def check(expression: str, *, both_days: bool) -> None:
    """Raise InvalidSchedule for a line that cannot be read, or that no time matches."""
    if expression.lower() == "@reboot":
        raise InvalidSchedule(
            "Cron('@reboot'): workers start often, and on many hosts. Connect to "
            "dbqueue.signals.worker_ready instead."
        )
    try:
        if len(plain(expression)) > _LENGTH:
            raise CronSimError(f"More than {_LENGTH} characters")
        first = next(times(expression, _ANY, both_days=both_days), None)
    except (CronSimError, ValueError, AssertionError, ArithmeticError) as error:
        raise InvalidSchedule(
            f"Cron({expression!r:.300}): {str(error) or 'it cannot be read'}. A line "
            "has five fields, minute hour day month weekday, or six with seconds "
            f"before them; or it is one of {', '.join(MACROS)}."
        ) from None
    if first is None:
        raise InvalidSchedule(f"Cron({expression!r}): no time matches it in 50 years.")
