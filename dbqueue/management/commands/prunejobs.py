"""manage.py prunejobs"""

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dbqueue import conf
from dbqueue.backend import DatabaseBackend
from dbqueue.maintenance.prune import BATCH, prune_all, to_prune
from dbqueue.management.backends import (
    add_backend_option,
    add_examples,
    add_pruning_options,
    choose_backend,
    counted,
    database_errors_explained,
    default,
    known_queues,
)
from dbqueue.models import FinishedJob, JobState

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": conf.DAY}
_FINISHED = (JobState.SUCCESSFUL, JobState.FAILED, JobState.CANCELLED)


class Command(BaseCommand):
    help = "Deletes finished jobs by age; workers do this automatically, too."

    def add_arguments(self, parser: CommandParser) -> None:
        add_backend_option(parser)
        age = (
            "an age such as 90s, 30m, 12h, 7d; "
            f"{default('KEEP_SUCCESSFUL', _words)} for successful ones, "
            f"{default('KEEP_FAILED', _words)} for others"
        )
        parser.add_argument("--older-than", type=_age, metavar="AGE", help=age)
        queue = "only this queue; may be given several times; default: all"
        parser.add_argument("--queue", action="append", metavar="NAME", help=queue)
        add_pruning_options(parser, _FINISHED, BATCH, "rows in one transaction")
        add_examples(
            parser,
            "prunejobs --dry-run",
            "prunejobs --older-than 12h --state successful",
            "prunejobs --older-than 30m --queue mail --queue reports",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        backend = choose_backend(options["backend"], database=options["database"])
        alias = backend.database
        with database_errors_explained(alias):
            for queue in options["queue"] or ():
                _check_queue(backend, queue)
            total = sum(
                self._prune(alias, state, options)
                for state in _FINISHED
                if not options["state"] or state.lower() in options["state"]
            )
        verb = "would be deleted" if options["dry_run"] else "deleted"
        if options["verbosity"]:
            self.stdout.write(f"{counted(total, 'finished job')} {verb}.")

    def _prune(self, alias: str, state: str, options: dict[str, Any]) -> int:
        queues, batch = options["queue"] or (), max(1, options["batch"])
        age = _age_of(state, options)
        if options["dry_run"]:
            found = to_prune(alias, state, age, queues)
            return sum(rows.count() for rows, _ in found)
        return prune_all(alias, state=state, older_than=age, queues=queues, batch=batch)


def _age_of(state: str, options: dict[str, Any]) -> float | None:
    """Return the age from which to delete the state, None to leave it alone."""
    settings = conf.current()
    successful = state == JobState.SUCCESSFUL
    kept = settings.keep_successful if successful else settings.keep_failed
    older_than: float | None = options["older_than"]
    return kept if older_than is None else older_than


def _check_queue(backend: DatabaseBackend, name: str) -> None:
    known = known_queues(backend)
    rows = FinishedJob.objects.using(backend.database).filter(queue_name=name)
    # One that TASKS does not name any more may still have finished jobs.
    if known and name not in known and not rows.exists():
        raise CommandError(
            f"--queue {name!r} is in no entry of TASKS, and no finished job is in it."
            f"{conf.nearest(name, known)}"
        )


def _words(seconds: float | None) -> str:
    """Return an age as the option takes it, in the largest unit that fits."""
    if seconds is None:
        return "for ever"
    units = (unit for unit in "dhm" if seconds and not seconds % _UNITS[unit])
    unit = next(units, "s")
    return f"{seconds / _UNITS[unit]:g}{unit}"


def _age(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not an age like 90s, 30m, 12h or 7d")
    return int(number) * _UNITS[unit]
