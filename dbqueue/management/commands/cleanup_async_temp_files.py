"""manage.py cleanup_async_temp_files: uploads_cleanup, as it was called elsewhere."""

from typing import Any

from django.core.management.base import CommandParser

from dbqueue.management.backends import add_examples
from dbqueue.management.commands import uploads_cleanup
from dbqueue.uploads.models import UploadState
from dbqueue.uploads.sweep import cleanup

# What somebody is still to look at is kept.
_STATES = [one.lower() for one in cleanup.DELETABLE if one != UploadState.FAILED]


class Command(uploads_cleanup.Command):
    help = (
        "Deletes expired uploads and unreferenced files: uploads_cleanup by the name, "
        "and with the options, of alliance-platform-storage. Workers do this "
        "automatically, too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--age",
            type=uploads_cleanup.hours,
            metavar="HOURS",
            help="delete uploads that ended more than HOURS ago, or were sent by then "
            "and have expired, but none that failed; default: as the settings say",
        )
        parser.add_argument(
            "--quiet", action="store_true", help="do not say what was deleted"
        )
        add_examples(parser, "cleanup_async_temp_files --age 48")

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(
            *args,
            **dict.fromkeys(("backend", "database", "dry_run", "json")),
            batch=cleanup.BATCH,
            age=options["age"],
            state=None if options["age"] is None else _STATES,
            verbosity=0 if options["quiet"] else options["verbosity"],
        )
