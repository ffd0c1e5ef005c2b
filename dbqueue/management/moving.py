"""What the commands share that move work here from another queue's store."""

import json
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Model

from dbqueue.backend import DatabaseBackend
from dbqueue.compat.moving import tables
from dbqueue.compat.moving.items import Item, counted
from dbqueue.management.backends import (
    add_backend_option,
    add_examples,
    choose_backend,
    database_errors_explained,
)
from dbqueue.management.discovery import import_tasks


class MovingCommand(BaseCommand):
    """Prints a line for each row, and a sum; `find` says what there is."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="only say what would become of each"
        )
        parser.add_argument(
            "--json", action="store_true", help="one object a line, in place of words"
        )

    def find(self, *, write: bool, options: dict[str, Any]) -> Iterable[Item]:
        """Yield what is found, and with `write` move it before. Raises CommandError."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        import_tasks()
        items: list[Item] = []
        for item in self.find(write=not options["dry_run"], options=options):
            items.append(item)
            is_news = item.outcome != "there" or options["verbosity"] > 1
            if options["json"]:
                self.stdout.write(json.dumps(item.facts()))
            elif is_news:
                self.stdout.write(str(item))
        if not options["json"]:
            self._sum_up(items, "would be moved" if options["dry_run"] else "moved")

    def _sum_up(self, items: list[Item], moved: str) -> None:
        for kind in dict.fromkeys(item.kind for item in items):
            found = counted(items, kind)
            self.stdout.write(
                f"{kind}s: {found['moved']} {moved}, {found['there']} there already, "
                f"{found['left']} left"
            )
        if not items:
            self.stdout.write("There is nothing to move.")


class TableCommand(MovingCommand):
    """Moves the rows that wait in a table of another queue's, of any database."""

    name: str  # of the command
    table: type[Model]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--source",
            metavar="ALIAS",
            help="the database of that table; default: where the jobs will be",
        )
        super().add_arguments(parser)
        add_backend_option(parser)
        add_examples(parser, f"{self.name} --dry-run", self.name)

    def move_jobs(
        self, alias: str, backend: DatabaseBackend, *, write: bool
    ) -> Iterable[Item]:
        """Yield what waits in that database, and with `write` move it before."""
        raise NotImplementedError

    def find(self, *, write: bool, options: dict[str, Any]) -> Iterable[Item]:
        backend = choose_backend(options["backend"], database=options["database"])
        alias = options["source"] or backend.database
        with database_errors_explained(alias):
            if not tables.is_there(self.table, alias):
                name = self.table._meta.db_table
                raise CommandError(f"Database {alias!r} has no table {name}.")
            yield from self.move_jobs(alias, backend, write=write)
