"""manage.py import_django_q2"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser

from dbqueue.compat.django_q2 import demand_package
from dbqueue.compat.moving.items import Item
from dbqueue.exceptions import MissingExtra
from dbqueue.management.backends import (
    add_examples,
    choose_backend,
    counted,
    database_errors_explained,
)
from dbqueue.management.moving import MovingCommand


class Command(MovingCommand):
    help = (
        "Makes jobs of the packages that wait for clusters of django-q2, and schedules "
        "of its schedules, which are switched off there. What was moved before is not "
        "moved again. Packages are pickles: only those are opened that this project's "
        "key has signed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--queued", action="store_true", help="only the packages that wait"
        )
        parser.add_argument("--schedules", action="store_true", help="only schedules")
        parser.add_argument(
            "--history", action="store_true", help="copy what has ended, too"
        )
        parser.add_argument(
            "--keep",
            action="store_true",
            help="leave schedules switched on in django-q2, whose clusters then fire "
            "them as well",
        )
        super().add_arguments(parser)
        add_examples(
            parser,
            "import_django_q2 --dry-run",
            "import_django_q2 --schedules",
            "import_django_q2 --queued --history",
        )

    def find(self, *, write: bool, options: dict[str, Any]) -> Iterable[Item]:
        try:
            demand_package()
        except MissingExtra as error:
            raise CommandError(str(error)) from error
        if not apps.is_installed("django_q"):
            raise CommandError(
                "'django_q' is not in INSTALLED_APPS: its tables are read by its "
                "models. Leave it there until everything is moved."
            )
        backend = choose_backend(None)
        with database_errors_explained(backend.database):
            yield from self._found(write=write, options=options)

    def _found(self, *, write: bool, options: dict[str, Any]) -> Iterator[Item]:
        # Its settings and models are there only where the package is.
        from dbqueue.compat.moving import django_q2, history

        both = not (options["queued"] or options["schedules"])
        if options["queued"] or both:
            self._announce(django_q2, silent=options["json"])
            yield from django_q2.move_packages(write=write)
        if options["schedules"] or both:
            yield from django_q2.move_schedules(write=write, keep=options["keep"])
        if options["history"]:
            yield from history.move_history(write=write)

    def _announce(self, django_q2: Any, *, silent: bool) -> None:
        """Say what is about to be opened, before any of it is."""
        for rows in [] if silent else django_q2.packages():
            payloads = rows.values_list("payload", flat=True).iterator()
            signed = [django_q2.is_signed(payload) for payload in payloads]
            if signed:
                self.stdout.write(
                    f"{counted(len(signed), 'package')} in {rows.model._meta.db_table} "
                    f"of database {rows.db!r}, {sum(signed)} of them signed with this "
                    "project's key"
                )
