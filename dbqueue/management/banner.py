"""The first lines of a worker: which one it is, where it looks, and what waits there.

A worker with other settings than the site, or another database, runs nothing and says
nothing wrong: whoever reads these lines sees it.
"""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.db import Error, connections

from dbqueue import status
from dbqueue.management.backends import counted
from dbqueue.worker.options import WorkerOptions

# Jobs of a queue and priority that are counted.
CAP = 1_000


def lines(options: WorkerOptions, *, reload: bool, ask: bool) -> str:
    """Return what a worker says when it starts; `ask` the database what waits."""
    try:
        release = version("dbqueue-django")
    except PackageNotFoundError:
        release = "(not installed)"
    ends = ", until the queues are empty" if options.drain else ""
    restarts = ", restarts when the code changes" if reload else ""
    every = [
        f"dbqueue {release}, worker {options.name}",
        f"  settings {os.environ.get('DJANGO_SETTINGS_MODULE', 'of no module')}",
        f"  database {options.database!r} ({_address(options.database)})",
        f"  queues {options.described()}",
        f"  {counted(options.processes, 'process', plural='processes')} of "
        f"{counted(options.threads, 'thread')}, "
        f"{counted(options.async_concurrency, 'async job')} each{ends}{restarts}",
        *(_waiting(options) if ask else []),
        "  Stop with Ctrl-C; twice to stop at once.",
    ]
    return "\n".join(every)


def _address(alias: str) -> str:
    connection: Any = connections[alias]
    given = connection.settings_dict
    place, host, port = str(given["NAME"]), given.get("HOST"), given.get("PORT")
    if connection.vendor == "sqlite":
        if connection.is_in_memory_db():
            place = "in memory"
        elif not place.startswith("file:"):
            place = str(Path(place).absolute())
    elif host:
        place += f" on {host}" + (f":{port}" if port else "")
    return f"{connection.display_name}, {place}"


def _waiting(options: WorkerOptions) -> list[str]:
    try:
        queues = status.queues(options.database, CAP)
    except Error:  # it went away just now
        return []
    scan, words = options.scan(), []
    for queue in queues:
        count = queue.ready + queue.scheduled
        if count:
            cut = "+" if max(queue.ready, queue.scheduled) >= CAP else ""
            left = "" if scan.rank(queue.queue) is not None else " (not taken here)"
            words.append(f"{count:,}{cut} in {queue.queue}{left}")
    return [f"  waiting: {', '.join(words) or 'no jobs'}"]
