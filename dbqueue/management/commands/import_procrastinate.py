"""manage.py import_procrastinate"""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dbqueue.compat.moving import procrastinate, tables
from dbqueue.compat.moving.items import Item
from dbqueue.management.backends import (
    add_backend_option,
    add_examples,
    choose_backend,
    database_errors_explained,
)
from dbqueue.management.moving import MovingCommand


class Command(MovingCommand):
    help = (
        "Makes jobs of the rows that wait in the table of procrastinate, "
        "and deletes them there. Run it when no worker of procrastinate is running any "
        "more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--source",
            metavar="ALIAS",
            help="the database of that table; default: where the jobs will be",
        )
        super().add_arguments(parser)
        add_backend_option(parser)
        add_examples(parser, "import_procrastinate --dry-run", "import_procrastinate")

    def find(self, *, write: bool, options: dict[str, Any]) -> Iterable[Item]:
        backend = choose_backend(options["backend"], database=options["database"])
        alias = options["source"] or backend.database
        with database_errors_explained(alias):
            if not tables.is_there(procrastinate.Waiting, alias):
                name = procrastinate.Waiting._meta.db_table
                raise CommandError(f"Database {alias!r} has no table {name}.")
            yield from procrastinate.move_jobs(alias, backend, write=write)
