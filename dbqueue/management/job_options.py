"""What `manage.py jobs` may be told: which jobs, and what about them."""

import json
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from dbqueue.jobs.moves.selection import BATCH
from dbqueue.management.backends import add_backend_option, positive, shell_user
from dbqueue.models import JobState

# Options for columns that are asked for most.
_COLUMNS = {"queue": "queue_name", "task": "task", "state": "state"}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_jobs(parser: CommandParser) -> None:
    """Add the jobs by their ids, and where they are."""
    parser.add_argument("ids", nargs="*", metavar="ID", type=_id, help="jobs")
    add_backend_option(parser)


def add_conditions(parser: CommandParser) -> None:
    """Add what jobs may have in common."""
    states = [state.lower() for state in JobState.values]
    parser.add_argument("--queue", metavar="NAME", help="jobs of this queue")
    parser.add_argument("--task", metavar="PATH", help="jobs of this task")
    parser.add_argument("--state", choices=states, help="jobs in this state")
    exception = "jobs that have FAILED by it; its module may be left out"
    parser.add_argument("--exception", metavar="CLASS", help=exception)
    column = "jobs by a column, as in priority=5 or enqueued_at__lt=2026-11-27"
    parser.add_argument(
        "--filter",
        action="append",
        type=_condition,
        metavar="COLUMN=VALUE",
        help=column,
    )
    parser.add_argument("--all", action="store_true", help="all that the move is for")


def add_values(parser: CommandParser) -> None:
    """Add what moves need beside jobs."""
    arguments = "retry: other arguments, for a new job; a JSON {}"
    for name, kind in (("args", list), ("kwargs", dict)):
        word = "list" if kind is list else "object"
        parser.add_argument(
            f"--{name}",
            dest=f"new_{name}",  # Django passes positional ones as `args`
            type=_json(kind),
            metavar="JSON",
            help=arguments.format(word),
        )
    parser.add_argument("--reason", metavar="TEXT", help="cancel: for the record")
    by = "cancel: who wants it; default: the user of this shell"
    parser.add_argument("--by", metavar="NAME", default=shell_user(), help=by)
    at = "reschedule: a moment, or an age such as 90s, 30m, 2h, 1d from now"
    parser.add_argument("--at", type=_moment, metavar="WHEN", help=at)
    parser.add_argument("--to", metavar="QUEUE", help="move-to: the other queue")
    number = "set-priority: from -100 to 100, higher first"
    parser.add_argument("--priority", type=int, metavar="N", help=number)


def add_ways(parser: CommandParser) -> None:
    """Add how it is done."""
    batch = "jobs in one transaction; default: %(default)s"
    parser.add_argument(
        "--batch", type=positive, metavar="N", default=BATCH, help=batch
    )
    parser.add_argument("--dry-run", action="store_true", help="only count them")
    asks = "discard: do not ask before"
    parser.add_argument(
        "--no-input", action="store_false", dest="interactive", help=asks
    )
    limit = "list: the newest N; default: %(default)s"
    parser.add_argument("--limit", type=positive, metavar="N", default=50, help=limit)
    one = "list, show: a line of JSON for each job"
    parser.add_argument("--json", action="store_true", help=one)


def conditions(options: dict[str, Any]) -> dict[str, Any]:
    """Return the conditions as jobs.filter() takes them."""
    given = {
        column: options[option]
        for option, column in _COLUMNS.items()
        if options[option] is not None
    }
    if "state" in given:
        given["state"] = given["state"].upper()
    if options["exception"]:
        given["exception"] = options["exception"]
    return given | dict(options["filter"] or ())


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a job id") from None


def _condition(text: str) -> tuple[str, str]:
    column, sign, value = text.partition("=")
    if not (column and sign):
        raise ArgumentTypeError(f"{text!r} is not like priority=5")
    return column, value


def _moment(text: str) -> datetime | timedelta:
    number, unit = text[:-1], text[-1:]
    if unit in _UNITS and number.isdecimal():
        return timedelta(**{_UNITS[unit]: int(number)})
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise ArgumentTypeError(f"{text!r} is neither a moment nor like 90s or 2h")
    if settings.USE_TZ and timezone.is_naive(moment):
        return timezone.make_aware(moment)
    return moment


def _json(kind: type) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, kind):
            raise ArgumentTypeError(f"{text!r} is not a JSON {kind.__name__}")
        return value

    return read
