"""manage.py import_alliance_uploads"""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dbqueue.compat.moving import alliance, tables
from dbqueue.compat.moving.items import Item
from dbqueue.management.backends import add_examples, database_errors_explained
from dbqueue.management.moving import MovingCommand
from dbqueue.uploads import work


class Command(MovingCommand):
    help = (
        "Takes over the files that alliance-platform-storage has on record: what waits "
        "for a form or was forgotten is deleted in time, and what a model's row names "
        "by its temporary name is brought into its place by a worker. The rows are "
        "deleted there. Change the imports first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--source",
            metavar="ALIAS",
            help="the database of that table; default: where the jobs are",
        )
        parser.add_argument(
            "--keep-keys",
            action="store_true",
            help="have forms that are open now take their files, from whoever has the "
            "key, as before",
        )
        super().add_arguments(parser)
        add_examples(
            parser,
            "import_alliance_uploads --dry-run",
            "import_alliance_uploads --keep-keys",
        )

    def find(self, *, write: bool, options: dict[str, Any]) -> Iterable[Item]:
        alias = options["source"] or work.database()
        with database_errors_explained(alias):
            if not tables.is_there(alliance.TempFile, alias):
                name = alliance.TempFile._meta.db_table
                raise CommandError(f"Database {alias!r} has no table {name}.")
            yield from alliance.move_files(
                alias, write=write, keep_keys=options["keep_keys"]
            )
