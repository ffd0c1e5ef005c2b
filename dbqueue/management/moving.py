"""What the commands share that move work here from another queue's store."""

import json
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dbqueue.compat.moving.items import Item, counted
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
