"""manage.py import_celery"""

from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dbqueue.management.backends import (
    add_backend_option,
    add_examples,
    choose_backend,
    database_errors_explained,
)
from dbqueue.management.discovery import import_tasks


class Command(BaseCommand):
    help = (
        "Takes over the schedules of django_celery_beat and the history of "
        "django_celery_results, and tells which messages wait in the broker."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_backend_option(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="tell what would be done, and do not"
        )
        parser.add_argument(
            "--from-database",
            metavar="ALIAS",
            help="where the tables of Celery's packages are; default: beside the jobs",
        )
        parser.add_argument(
            "--broker", metavar="URL", help="default: CELERY_BROKER_URL"
        )
        add_examples(parser, "import_celery --dry-run", "import_celery")

    def handle(self, *args: Any, **options: Any) -> None:
        backend = choose_backend(options["backend"], database=options["database"])
        target, dry = backend.database, options["dry_run"]
        origin = options["from_database"] or target
        import_tasks()
        # Models are there by now, and so may be what uses them.
        schedules, results, messages, source = (
            import_module(f"dbqueue.compat.celery.{name}")
            for name in (
                "move.schedules",
                "move.results",
                "move.messages",
                "conf.source",
            )
        )
        with database_errors_explained(target):
            brought = list(schedules.brought(origin, target, dry=dry))
            for name, answer in brought:
                self.stdout.write(f"Schedule {name!r}: {answer}")
            counts = results.brought(origin, target, dry=dry)
        told = ", ".join(f"{n} {state}" for state, n in sorted(counts.items()) if n)
        self.stdout.write(f"Results: {told or 'none'}")
        broker = options["broker"] or source.value("broker_url")
        for words in messages.told(broker, messages.queues()):
            self.stdout.write(words)
        if dry:
            self.stdout.write("Nothing was written.")
