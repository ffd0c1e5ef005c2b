"""manage.py uploads_cleanup"""

import json
import math
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dbqueue.management.backends import database_errors_explained
from dbqueue.tasks.framework import InvalidTaskBackend
from dbqueue.uploads import work
from dbqueue.uploads.sweep import cleanup

_HOUR = 3600.0  # seconds


class Command(BaseCommand):
    help = (
        "Deletes expired uploads and unreferenced files, and re-enqueues uploads whose "
        "job was lost; workers do this automatically, too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--age",
            type=_age,
            metavar="HOURS",
            help="delete uploads that ended more than HOURS ago; default: what "
            "DBQUEUE says",
        )
        parser.add_argument(
            "--state",
            action="append",
            choices=[state.lower() for state in cleanup.DELETABLE],
            help="delete only uploads of this state; may be given several times; "
            "default: all of these",
        )
        parser.add_argument(
            "--batch",
            type=int,
            default=cleanup.BATCH,
            help="uploads, or files, looked up at once; default %(default)s",
        )
        parser.add_argument("--dry-run", action="store_true", help="only count them")
        parser.add_argument(
            "--json", action="store_true", help="print one line of JSON"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            alias = work.database()
        except InvalidTaskBackend as error:
            raise CommandError(str(error)) from error
        with database_errors_explained(alias):
            sweep = _sweep(alias, options)
            found = sweep.due() if options["dry_run"] else sweep.run(math.inf)
        if options["json"]:
            self.stdout.write(json.dumps({**found, "dry_run": options["dry_run"]}))
        elif options["verbosity"]:
            self.stdout.write(_sentence(found, options["dry_run"]))


def _sweep(alias: str, options: dict[str, Any]) -> cleanup.Sweep:
    states = options["state"]
    return cleanup.Sweep(
        alias,
        max(1, options["batch"]),
        states=states and [state.upper() for state in states],
        older_than=options["age"],
    )


def _sentence(found: dict[str, int], dry_run: bool) -> str:
    would = "would be " if dry_run else ""
    return (
        f"{found['uploads_deleted']} uploads {would}deleted, "
        f"{found['objects_deleted']} files {would}deleted from storages, "
        f"{found['jobs_repaired']} lost jobs {would}re-enqueued."
    )


def _age(text: str) -> float:
    """Return seconds for a text that says hours."""
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if not 0 <= hours < math.inf:
        raise ArgumentTypeError(f"{text!r} is not a number of hours like 48 or 0.5")
    return hours * _HOUR
