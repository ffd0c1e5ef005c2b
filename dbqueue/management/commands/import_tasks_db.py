"""manage.py import_tasks_db"""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dbqueue.compat.moving import tables, tasks_db
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
        "Makes jobs of the rows that wait in the table of django-tasks-db, under the "
        "same ids, and deletes them there. Run it when no worker of django-tasks-db is "
        "running any more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--source",
            metavar="ALIAS",
            help="the database of that table; default: where the jobs will be",
        )
        super().add_arguments(parser)
        add_backend_option(parser)
        add_examples(parser, "import_tasks_db --dry-run", "import_tasks_db")

    def find(self, *, write: bool, options: dict[str, Any]) -> Iterable[Item]:
        backend = choose_backend(options["backend"], database=options["database"])
        alias = options["source"] or backend.database
        with database_errors_explained(alias):
            if not tables.is_there(tasks_db.Result, alias):
                name = tasks_db.Result._meta.db_table
                raise CommandError(f"Database {alias!r} has no table {name}.")
            yield from tasks_db.move_jobs(alias, backend, write=write)
