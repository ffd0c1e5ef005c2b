"""manage.py import_huey"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dbqueue.compat.moving import huey
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
        "Makes jobs of what waits in the file of huey's SqliteHuey, and deletes it "
        "there. Run it when no consumer is running any more. The file is read without "
        "calling anything that stands in it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the file, such as huey.db")
        parser.add_argument("--queue", help="their queue; default: as each task says")
        super().add_arguments(parser)
        add_backend_option(parser)
        add_examples(parser, "import_huey huey.db --dry-run", "import_huey huey.db")

    def find(self, *, write: bool, options: dict[str, Any]) -> Iterable[Item]:
        backend, path = (
            choose_backend(options["backend"], database=options["database"]),
            options["file"],
        )
        if not path.is_file():
            raise CommandError(f"There is no file {str(path)!r}.")
        with database_errors_explained(backend.database):
            try:
                yield from huey.move_jobs(
                    path, backend, queue=options["queue"], write=write
                )
            except sqlite3.Error as error:
                raise CommandError(
                    f"{str(path)!r} is no file of huey's: {error}"
                ) from error
