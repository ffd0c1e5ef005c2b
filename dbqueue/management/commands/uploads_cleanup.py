"""manage.py uploads_cleanup"""

import json
import math
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dbqueue.management.backends import (
    add_backend_option,
    add_examples,
    add_pruning_options,
    choose_backend,
    counted,
    database_errors_explained,
    default,
    non_negative,
)
from dbqueue.tasks.framework import InvalidTaskBackend
from dbqueue.uploads import conf, work
from dbqueue.uploads.sweep import cleanup

_HOUR = 3600.0  # seconds


class Command(BaseCommand):
    help = (
        "Deletes expired uploads and unreferenced files, and re-enqueues uploads whose "
        "job was lost; workers do this automatically, too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_backend_option(parser)
        age = (
            "delete uploads that ended more than HOURS ago; "
            f"{default('KEEP', _hours, conf.current)}; those that failed, "
            f"{default('KEEP_FAILED', _hours, conf.current)}"
        )
        parser.add_argument("--age", type=hours, metavar="HOURS", help=age)
        rows = "uploads, or files, read at once"
        add_pruning_options(parser, cleanup.DELETABLE, cleanup.BATCH, rows)
        parser.add_argument("--json", action="store_true", help="one line of JSON")
        add_examples(
            parser,
            "uploads_cleanup --dry-run",
            "uploads_cleanup --age 48 --state failed --state rejected",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            alias = work.database()
        except InvalidTaskBackend as error:
            raise CommandError(str(error)) from error
        if options["backend"] or options["database"]:
            named = choose_backend(options["backend"], database=options["database"])
            if named.database != alias:
                raise CommandError(
                    f"No uploads are in {named.database!r}: they wait in {alias!r}, "
                    "where their jobs are."
                )
        states = options["state"]
        with database_errors_explained(alias):
            sweep = cleanup.Sweep(
                alias,
                max(1, options["batch"]),
                states=states and [state.upper() for state in states],
                older_than=options["age"],
            )
            found = sweep.due() if options["dry_run"] else sweep.run(math.inf)
        if options["json"]:
            self.stdout.write(json.dumps({**found, "dry_run": options["dry_run"]}))
        elif options["verbosity"]:
            self.stdout.write(_sentence(found, options["dry_run"]))


def _sentence(found: dict[str, int], dry_run: bool) -> str:
    would = "would be " if dry_run else ""
    return (
        f"{counted(found['uploads_deleted'], 'upload')} {would}deleted, "
        f"{counted(found['objects_deleted'], 'file')} {would}deleted from storages, "
        f"{counted(found['jobs_repaired'], 'lost job')} {would}re-enqueued."
    )


def _hours(seconds: float) -> str:
    return f"{seconds / _HOUR:g}"


def hours(text: str) -> float:
    """Return seconds for a text that says hours."""
    return _HOUR * non_negative(text, "hours like 48 or 0.5")
