"""manage.py queuestatus"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dbqueue import status
from dbqueue.management.backends import (
    add_backend_option,
    add_examples,
    choose_backend,
    database_errors_explained,
    non_negative,
)
from dbqueue.management.tables import table

_CLEAR = "\x1b[H\x1b[2J"  # ANSI: home, erase


class Command(BaseCommand):
    help = "Shows queue depths and live workers."

    def add_arguments(self, parser: CommandParser) -> None:
        add_backend_option(parser)
        parser.add_argument("--json", action="store_true", help="one line of JSON")
        watch = "refresh it until Ctrl-C; default: show it once"
        parser.add_argument("--watch", action="store_true", help=watch)
        interval = "seconds between refreshes; default: %(default)s"
        parser.add_argument("--interval", type=float, default=2.0, help=interval)
        most = "exit with 1 if a job has been ready for longer; for monitors"
        parser.add_argument("--max-wait", type=_seconds, metavar="SECONDS", help=most)
        add_examples(
            parser,
            "queuestatus",
            "queuestatus --max-wait 300",
            "queuestatus --watch --interval 5",
            "queuestatus --json",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        alias = choose_backend(
            options["backend"], database=options["database"]
        ).database
        show = self._json if options["json"] else self._text
        try:
            with database_errors_explained(alias):
                self._show(lambda: show(alias), options)
                self._judge(alias, options["max_wait"])
        except KeyboardInterrupt:
            return

    def _judge(self, alias: str, most: float | None) -> None:
        """Exit with 1 if the oldest ready job waits for longer than that."""
        if most is None:
            return
        late = [
            f"{queue.queue} ({queue.oldest_wait:.0f} s)"
            for queue in status.queues(alias, cap=1)
            if (queue.oldest_wait or 0.0) > most
        ]
        if late:
            raise CommandError(
                f"Jobs wait longer than {most:g} s in: {', '.join(late)}"
            )

    def _show(self, text: Callable[[], str], options: dict[str, Any]) -> None:
        watch = options["watch"]
        while True:
            erase = _CLEAR if watch and not options["json"] else ""
            self.stdout.write(erase + text())
            self.stdout.flush()
            if not watch:
                return
            time.sleep(options["interval"])

    def _json(self, alias: str) -> str:
        found = status.queues(alias)
        why = status.reasons_by_queue(alias, found)
        queues = [asdict(q) | {"reason": why.get(q.queue, "")} for q in found]
        workers = [asdict(worker) for worker in status.workers(alias)]
        return json.dumps({"queues": queues, "workers": workers})

    def _text(self, alias: str) -> str:
        found = status.queues(alias)
        why = status.reasons_by_queue(alias, found)
        alive = status.workers(alias)
        workers = [
            (w.name, w.host, w.pid, w.queues, f"{w.last_heartbeat:.0f} s ago", _runs(w))
            for w in alive
        ]
        worker_titles = ("worker", "host", "pid", "queues", "heartbeat", "runs")
        lines = _queues(found)
        if why:
            titles = "queue", "why its next job is not running"
            lines += ["", *table(titles, list(why.items()), "")]
        lines += ["", *table(worker_titles, workers, "No worker is alive.")]
        unknown = [(w.name, w.pid, path) for w in alive for path in w.unknown_tasks]
        if unknown:
            lines += ["", *table(("worker", "pid", "cannot import"), unknown, "")]
        return "\n".join(lines)


def _queues(found: list[status.QueueStatus]) -> list[str]:
    # Few projects have these two.
    rare = [n for n in ("blocked", "paused") if any(getattr(q, n) for q in found)]
    counts = ("ready", *rare, "scheduled", "running")
    rows = [(q.queue, *(getattr(q, n) for n in counts), _wait(q)) for q in found]
    return table(("queue", *counts, "oldest wait"), rows, "No unfinished jobs.")


def _wait(queue: status.QueueStatus) -> str:
    return "" if queue.oldest_wait is None else f"{queue.oldest_wait:.0f} s"


def _seconds(text: str) -> float:
    return non_negative(text, "seconds")


def _runs(worker: status.WorkerStatus) -> str:
    runs = sorted(worker.runs.items())
    return ", ".join(f"{n} x {task}" if n > 1 else task for task, n in runs) or "idle"
