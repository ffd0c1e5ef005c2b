"""manage.py schedules"""

import json
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from dbqueue.conf import nearest
from dbqueue.exceptions import DbqueueError
from dbqueue.management.backends import (
    add_backend_option,
    add_examples,
    choose_backend,
    counted,
    database_errors_explained,
    positive,
    repeat_options,
)
from dbqueue.management.discovery import import_tasks
from dbqueue.schedules import history
from dbqueue.schedules.declared import sync
from dbqueue.schedules.models import Schedule
from dbqueue.tasks.framework import InvalidTask, InvalidTaskBackend

_REFUSALS = (DbqueueError, InvalidTask, InvalidTaskBackend)


class Command(BaseCommand):
    help = (
        "Lists schedules and their next runs, runs one now, enables and disables them, "
        "and writes those that code and settings declare to the database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_backend_option(parser)
        actions = parser.add_subparsers(dest="action", metavar="ACTION")
        for name, (words, many) in {
            "list": ("show all schedules; the default", None),
            "next": ("show the next runs", "*"),
            "run": ("enqueue a job of it now, which counts as no tick", None),
            "enable": ("fire it from now on", "+"),
            "disable": ("do not fire it any more; what runs goes on", "+"),
            "sync": ("write what is declared, as a worker does when it starts", None),
        }.items():
            action = actions.add_parser(name, help=words, description=words)
            repeat_options(action)
            if many:
                action.add_argument("names", nargs=many, metavar="NAME")
            if name == "run":
                action.add_argument("name", metavar="NAME")
            if name == "list":
                action.add_argument("--json", action="store_true")
                action.add_argument(
                    "--all", action="store_true", help="retired ones, too"
                )
            if name == "next":
                action.add_argument(
                    "-n", "--count", type=positive, default=5, help="default: 5"
                )
        add_examples(
            parser,
            "schedules",
            "schedules next weekly-summary -n 10",
            "schedules disable weekly-summary",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        backend = choose_backend(options["backend"], database=options["database"])
        import_tasks()  # times of the project's own kind may be there
        with database_errors_explained(backend.database):
            action = getattr(self, f"_{options['action'] or 'list'}")
            try:
                action(backend.database, options)
            except _REFUSALS as error:
                raise CommandError(str(error)) from error

    def _list(self, alias: str, options: dict[str, Any]) -> None:
        rows = Schedule.objects.using(alias)
        found = list(rows.all() if options.get("all") else rows.active())
        outcomes = history.last(alias, found)
        if options.get("json"):
            for row in found:
                self.stdout.write(json.dumps(_facts(row, outcomes.get(row.pk))))
            return
        lines: list[tuple[str, ...]] = [("NAME", "WHEN", "NEXT RUN", "LAST RUN", "")]
        lines += [_line(row, outcomes.get(row.pk)) for row in found]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = zip(line, widths, strict=True)
            text = "  ".join(cell.ljust(width) for cell, width in cells)
            self.stdout.write(text.rstrip())
        if not found:
            self.stdout.write(
                "There are no schedules. A worker writes those of the code when it "
                "starts, as 'schedules sync' does."
            )

    def _next(self, alias: str, options: dict[str, Any]) -> None:
        rows = Schedule.objects.using(alias).active()
        if options["names"]:
            rows = rows.filter(pk__in=[r.pk for r in _named(alias, options["names"])])
        for row in rows:
            self.stdout.write(f"{row.name}: {row.cadence}")
            moments = row.next_runs(options["count"])
            for moment in moments:
                self.stdout.write(f"  {_shown(moment)}")
            if not moments:
                self.stdout.write(f"  {_state(row) or 'no more'}")

    def _run(self, alias: str, options: dict[str, Any]) -> None:
        (row,) = _named(alias, [options["name"]])
        result = row.run_now()
        self.stdout.write(f"Enqueued job {result.id} of {row.task}.")

    def _enable(self, alias: str, options: dict[str, Any]) -> None:
        self._switch(alias, options["names"], on=True)

    def _disable(self, alias: str, options: dict[str, Any]) -> None:
        self._switch(alias, options["names"], on=False)

    def _switch(self, alias: str, names: list[str], *, on: bool) -> None:
        for row in _named(alias, names):
            row.enabled = on
            row.save(update_fields=["enabled"])
            self.stdout.write(f"{row.name}: {'enabled' if on else 'disabled'}")

    def _sync(self, alias: str, options: dict[str, Any]) -> None:
        report = sync.sync(alias, at_once=True)
        for word in ("created", "changed", "revived", "retired"):
            for name in getattr(report, word):
                self.stdout.write(f"{name}: {word}")
        for row in Schedule.objects.using(alias).active():
            if row.differs:
                names = ", ".join(row.differs)
                self.stdout.write(f"{row.name}: differs from the code in {names}")
        if report.wrong:
            wrong = "\n".join(map(str, report.wrong))
            some = counted(len(report.wrong), "schedule")
            raise CommandError(f"{some} could not be written:\n{wrong}")


def _named(alias: str, names: Iterable[str]) -> list[Schedule]:
    rows = {row.name: row for row in Schedule.objects.using(alias).active()}
    found = []
    for name in names:
        if name not in rows:
            raise CommandError(f"There is no schedule {name!r}.{nearest(name, rows)}")
        found.append(rows[name])
    return found


def _line(row: Schedule, last: history.Run | None) -> tuple[str, ...]:
    upcoming = row.next_runs(1)
    return (
        row.name,
        str(row.cadence),
        _shown(upcoming[0]) if upcoming else "-",
        f"{_shown(last.moment)} {last}" if last else "-",
        _state(row),
    )


def _state(row: Schedule) -> str:
    words = []
    if row.retired_at is not None:
        words.append("retired")
    elif not row.enabled:
        words.append("disabled")
    if row.is_late:
        words.append("due, and no worker fires it")
    if row.differs:
        words.append(f"differs from the code in {', '.join(row.differs)}")
    if row.problem:
        words.append(f"cannot be fired: {row.problem}")
    return "; ".join(words)


def _facts(row: Schedule, last: history.Run | None) -> dict[str, Any]:
    upcoming = row.next_runs(1)
    return {
        "name": row.name,
        "task": row.task,
        "when": str(row.cadence),
        "enabled": row.enabled,
        "retired": row.retired_at is not None,
        "next_run_at": upcoming[0].isoformat() if upcoming else None,
        "last_run_at": last.moment.isoformat() if last else None,
        "last_outcome": str(last) if last else None,
        "differs": row.differs,
        "problem": row.problem,
    }


def _shown(moment: Any) -> str:
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return f"{local:%Y-%m-%d %H:%M:%S %Z}".rstrip()
