"""manage.py prunejobs"""

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dbqueue import conf
from dbqueue.maintenance.prune import BATCH, prune
from dbqueue.management.backends import (
    add_backend_option,
    add_pruning_options,
    choose_backend,
    counted,
    database_errors_explained,
)
from dbqueue.models import FinishedJob, JobState

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": conf.DAY}
_FINISHED = (JobState.SUCCESSFUL, JobState.FAILED, JobState.CANCELLED)


class Command(BaseCommand):
    help = "Deletes finished jobs by age; workers do this automatically, too."

    def add_arguments(self, parser: CommandParser) -> None:
        add_backend_option(parser)
        age = "an age such as 90s, 30m, 12h, 7d; default: each state's in DBQUEUE"
        parser.add_argument("--older-than", type=_age, help=age)
        add_pruning_options(parser, _FINISHED, BATCH, "rows in one transaction")

    def handle(self, *args: Any, **options: Any) -> None:
        alias = choose_backend(options["backend"]).database
        with database_errors_explained(alias):
            total = sum(
                self._prune(alias, state, age, options)
                for state in _FINISHED
                if (age := _age_of(state, options)) is not None
            )
        verb = "would be deleted" if options["dry_run"] else "deleted"
        if options["verbosity"]:
            self.stdout.write(f"{counted(total, 'finished job')} {verb}.")

    def _prune(
        self, alias: str, state: str, age: float, options: dict[str, Any]
    ) -> int:
        if options["dry_run"]:
            return FinishedJob.objects.using(alias).expired(state, age).count()
        batch = max(1, options["batch"])
        total = deleted = prune(alias, states=[state], older_than=age, limit=batch)
        while deleted == batch:
            deleted = prune(alias, states=[state], older_than=age, limit=batch)
            total += deleted
        return total


def _age_of(state: str, options: dict[str, Any]) -> float | None:
    """Return the age from which to delete the state, None to leave it alone."""
    if options["state"] and state.lower() not in options["state"]:
        return None
    settings = conf.current()
    successful = state == JobState.SUCCESSFUL
    kept = settings.keep_successful if successful else settings.keep_failed
    older_than: float | None = options["older_than"]
    return kept if older_than is None else older_than


def _age(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not an age like 90s, 30m, 12h or 7d")
    return int(number) * _UNITS[unit]
