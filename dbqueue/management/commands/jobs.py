"""manage.py jobs"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import FieldError, ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dbqueue import jobs
from dbqueue.exceptions import DbqueueError
from dbqueue.jobs.results import find_row
from dbqueue.management import described, job_options
from dbqueue.management.backends import (
    add_examples,
    choose_backend,
    counted,
    database_errors_explained,
)
from dbqueue.models import FinishedJob, Job, JobRecord
from dbqueue.tasks.framework import InvalidTask

# What each move takes beside jobs, and from which options.
_MOVES: dict[str, dict[str, str]] = {
    "retry": {"args": "new_args", "kwargs": "new_kwargs"},
    "cancel": {"reason": "reason", "by": "by"},
    "run-now": {},
    "reschedule": {"run_after": "at"},
    "move-to": {"queue_name": "to"},
    "set-priority": {"priority": "priority"},
    "discard": {},
}
_DEMANDED = ("at", "to", "priority")


class Command(BaseCommand):
    help = "Shows jobs, and acts on them: on some by their ids, or on all that match."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = ["list", "show", *_MOVES]
        parser.add_argument("verb", choices=verbs, help="what to do")
        job_options.add_jobs(parser)
        job_options.add_conditions(parser)
        job_options.add_values(parser)
        job_options.add_ways(parser)
        add_examples(
            parser,
            "jobs list --state failed --exception SMTPServerDisconnected",
            "jobs show 0193b2c4-8d1e-7c3a-9f62-1f0a7b5d2e44",
            "jobs retry --queue mail --exception SMTPServerDisconnected",
            "jobs cancel --task people.tasks.send_welcome --filter priority__lt=0",
            "jobs reschedule --queue reports --at 2h",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        backend = choose_backend(options["backend"], database=options["database"])
        verb = options["verb"]
        with database_errors_explained(backend.database), _mistakes_explained():
            conditions = job_options.conditions(options)
            if options["ids"] and conditions:
                raise CommandError("Give either ids or conditions, not both.")
            if verb == "show":
                self._show(backend.database, options)
            elif verb == "list":
                chosen = jobs.filter(backend=backend.alias, **conditions)
                if options["ids"]:
                    chosen = jobs.choose(options["ids"], backend=backend.alias)
                self._list(chosen, options)
            elif options["ids"]:
                chosen = jobs.choose(options["ids"], backend=backend.alias)
                self._move(chosen, options)
            elif conditions or options["all"]:
                chosen = jobs.filter(backend=backend.alias, **conditions)
                self._move(chosen, options)
            else:
                raise CommandError(f"{verb} which jobs? Give ids, conditions or --all.")

    def _show(self, alias: str, options: dict[str, Any]) -> None:
        if not options["ids"]:
            raise CommandError("show which jobs? Give their ids.")
        show: Callable[[Any], Any] = described.as_json if options["json"] else _shown
        unknown = []
        for id in options["ids"]:
            row = find_row(alias, id)
            if row is None:
                unknown.append(str(id))
            else:
                self.stdout.write(show(row))
        if unknown:
            raise CommandError(f"No job has the id {', '.join(unknown)}.")

    def _list(self, chosen: jobs.Selection, options: dict[str, Any]) -> None:
        limit: int = options["limit"]
        found: list[JobRecord] = []
        for model in (Job, FinishedJob):
            rows = chosen.rows(model)
            if rows is not None:
                found += rows.order_by("-pk")[:limit]
        newest = sorted(found, key=lambda row: str(row.pk), reverse=True)[:limit]
        if options["json"]:
            lines = [described.as_json(row) for row in newest]
        else:
            lines = described.listed(newest)
        for line in lines:
            self.stdout.write(line)

    def _move(self, chosen: jobs.Selection, options: dict[str, Any]) -> None:
        verb = options["verb"]
        if options["dry_run"]:
            count = chosen.count_for(verb.replace("-", "_"))
            self.stdout.write(f"{counted(count, 'job')} would be met by {verb}.")
            return
        if verb == "discard" and options["interactive"] and not options["ids"]:
            self._ask(chosen)
        values = {
            name: options[option]
            for name, option in _MOVES[verb].items()
            if options[option] is not None
        }
        for option in _MOVES[verb].values():
            if option in _DEMANDED and options[option] is None:
                raise CommandError(f"{verb} needs --{option}.")
        if not ("args" in values or "kwargs" in values):
            values["batch"] = options["batch"]
            if options["verbosity"] > 1:
                values["progress"] = lambda moved: self.stdout.write(f"{moved} …")
        moved = getattr(chosen, verb.replace("-", "_"))(**values)
        if options["ids"] and moved.skipped:
            raise CommandError(f"{moved}.")
        if options["verbosity"]:
            self.stdout.write(f"{moved}.")
            for id in moved.ids if "args" in values or "kwargs" in values else ():
                self.stdout.write(f"The new job is {id}.")

    def _ask(self, chosen: jobs.Selection) -> None:
        count = counted(chosen.count_for("discard"), "finished job")
        answer = input(f"Delete the records of {count}? [yes/no] ")
        if answer.strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was deleted.")


@contextmanager
def _mistakes_explained() -> Iterator[None]:
    """Turn what is wrong with a condition or a value into a CommandError."""
    try:
        yield
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error
    except (DbqueueError, InvalidTask, FieldError, ValueError) as error:
        raise CommandError(str(error)) from error


def _shown(row: Any) -> str:
    return "\n".join(described.shown(row))
