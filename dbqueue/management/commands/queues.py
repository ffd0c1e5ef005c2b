"""manage.py queues"""

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dbqueue import conf, queues, status
from dbqueue.exceptions import DbqueueError
from dbqueue.management.backends import (
    add_backend_option,
    add_examples,
    choose_backend,
    database_errors_explained,
    known_queues,
    shell_user,
)
from dbqueue.management.tables import table
from dbqueue.models import Pause

_KINDS = "a queue, or task:PATH, limit:NAME, lane:KEY"


class Command(BaseCommand):
    help = "Lists, pauses and resumes queues, tasks, limits and lanes."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = ("list", "pause", "resume")
        help = "what to do; default: %(default)s"
        parser.add_argument(
            "action", nargs="?", choices=actions, default="list", help=help
        )
        parser.add_argument("names", nargs="*", metavar="NAME", help=_KINDS)
        reason = "why it is paused, for others to read"
        parser.add_argument("--reason", default="", metavar="TEXT", help=reason)
        by = "who pauses it; default: the user of this shell"
        parser.add_argument("--by", metavar="NAME", help=by)
        parser.add_argument(
            "--json", action="store_true", help="list as a line of JSON"
        )
        add_backend_option(parser)
        add_examples(
            parser,
            "queues",
            "queues pause mail --reason 'The mail server moves'",
            "queues pause task:people.tasks.send_summary",
            "queues resume mail",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        backend = choose_backend(options["backend"], database=options["database"])
        act = {"list": self._list, "pause": self._pause, "resume": self._resume}
        action, names = options["action"], options["names"]
        if action != "list" and not names:
            raise CommandError(f"Name what to {action}: {_KINDS}.")
        if action == "list" and names:
            raise CommandError(f"list takes no names, and got {names[0]!r}.")
        with database_errors_explained(backend.database):
            try:
                act[action](backend, names, options)
            except DbqueueError as error:
                raise CommandError(str(error)) from error

    def _pause(self, backend: Any, names: Sequence[str], options: Any) -> None:
        by = shell_user() if options["by"] is None else options["by"]
        reason = options["reason"]
        known = {pause.key for pause in queues.paused(backend=backend.alias)}
        # All names first: one that is wrong pauses none of the others.
        for name in names:
            queues.demand_known(name, backend=backend.alias)
        for name in names:
            pause = queues.pause(name, reason=reason, by=by, backend=backend.alias)
            was = "Paused already" if pause.key in known else "Paused"
            self.stdout.write(f"{was}: {_said(pause)}")

    def _resume(self, backend: Any, names: Sequence[str], options: Any) -> None:
        for name in names:
            pause = queues.resume(name, backend=backend.alias)
            if pause is None:
                self.stdout.write(f"Not paused: {name}")
            else:
                self.stdout.write(f"Resumed: {_said(pause)}")

    def _list(self, backend: Any, names: Sequence[str], options: Any) -> None:
        pauses = {pause.key: pause for pause in queues.paused(backend=backend.alias)}
        counts = {queue.queue: queue for queue in status.queues(backend.database)}
        limits = conf.current().queues
        found = {*known_queues(backend), *counts, *limits}
        found |= {k.partition(":")[2] for k in pauses if k.startswith("queue:")}
        facts = [
            _facts(name, counts.get(name), limits, pauses.pop(f"queue:{name}", None))
            for name in sorted(found)
        ]
        facts += [_facts(key, None, {}, pause) for key, pause in pauses.items()]
        if options["json"]:
            self.stdout.write(json.dumps(facts))
            return
        titles = "queue", "waiting", "running", "limit", "paused"
        rows = [tuple(fact[title] for title in titles) for fact in facts]
        shown = [tuple("" if c is None else c for c in row) for row in rows]
        self.stdout.write("\n".join(table(titles, shown, "No queue is known.")))


def _facts(name: str, count: Any, limits: Any, pause: Pause | None) -> dict[str, Any]:
    waiting = None if count is None else count.ready + count.blocked + count.paused
    return {
        "queue": name,
        "waiting": waiting,
        "running": None if count is None else count.running,
        "limit": limits.get(name, {}).get("concurrency"),
        "paused": None if pause is None else _why(pause),
    }


def _said(pause: Pause) -> str:
    return f"{pause.key.removeprefix('queue:')} ({_why(pause)})"


def _why(pause: Pause) -> str:
    since = f"since {pause.paused_at:%Y-%m-%d %H:%M}"
    by = f" by {pause.paused_by}" if pause.paused_by else ""
    return f"{since}{by}{f': {pause.reason}' if pause.reason else ''}"
