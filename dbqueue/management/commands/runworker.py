"""manage.py runworker"""

import logging
import os
import threading
from collections.abc import Iterable
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, connections

from dbqueue import conf
from dbqueue.backend import DatabaseBackend
from dbqueue.checks import check_pool
from dbqueue.dialects.scan import matches
from dbqueue.management import banner
from dbqueue.management.backends import choose_backend, known_queues
from dbqueue.management.beside import BESIDE, Pair, words_of
from dbqueue.management.discovery import import_tasks
from dbqueue.management.embedding import is_left, parents
from dbqueue.management.slots import demand_places, slots_of
from dbqueue.management.worker_options import add_worker_options
from dbqueue.models import Worker
from dbqueue.tasks.options import OPERATIONS
from dbqueue.worker.options import WorkerOptions
from dbqueue.worker.parent import surroundings
from dbqueue.worker.parent.failures import FAILED_JOBS, FailureNote
from dbqueue.worker.parent.processes import allow_open_files
from dbqueue.worker.parent.reload import (
    RELOAD,
    WORKING,
    ChangeWatcher,
    restart,
    run_with_reload,
)
from dbqueue.worker.parent.supervisor import Supervisor
from dbqueue.worker.process import streams

logger = logging.getLogger("dbqueue")

NAME_LENGTH = 255  # what the column of a worker's name holds
_LEVELS = {0: logging.ERROR, 1: logging.INFO, 2: logging.DEBUG, 3: logging.DEBUG}


class Command(BaseCommand):
    _called_from_command_line: bool  # Django's
    help = "Runs jobs from the database until it is stopped."
    # Django's own checks ask the database, which may be away: the worker waits for it.
    requires_system_checks = ["dbqueue"]

    def add_arguments(self, parser: CommandParser) -> None:
        add_worker_options(parser)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        streams.fill()
        super().__init__(*args, **kwargs)

    def execute(self, *args: Any, **options: Any) -> Any:
        if self._has_company(options) or self._only_restarts(options):
            # The process that it starts is checked, at each start.
            options["skip_checks"] = True
        return super().execute(*args, **options)

    def handle(self, *args: Any, **given: Any) -> None:
        with ExitStack() as ending:
            if not self._called_from_command_line:
                ending.enter_context(surroundings.log_kept())
            self._handle(ending, given)

    def _handle(self, ending: ExitStack, given: dict[str, Any]) -> None:
        _log_to(self.stderr, given["verbosity"])
        if self._has_company(given):
            raise SystemExit(Pair(words_of(given["beside"])).run())
        if self._only_restarts(given):
            raise SystemExit(run_with_reload())
        backend = choose_backend(given["backend"], database=given.pop("database"))
        self._check_backend(backend)
        options = _options(backend, given)
        threads = options.places - options.async_concurrency
        if threads != conf.current().threads:
            self._warn(check_pool(options.database, threads))
        reload = self._reload(given)
        _check_health_file(options.health_file)
        if self._called_from_command_line:
            ending.enter_context(surroundings.left_behind())
        else:
            ending.enter_context(surroundings.given_back())
        is_there = self._check_database(backend, options)
        import_tasks()
        refusal = allow_open_files(options.processes)
        if refusal:
            raise CommandError(refusal)
        if given["verbosity"]:
            self._say(banner.lines(options, reload=reload, ask=is_there))
        note = FailureNote() if given["fail_on_failure"] else nullcontext(False)
        with note as failed:
            code = self._supervisor(options, given, reload=reload).run()
        if code == RELOAD and not reload:
            restart()
        raise SystemExit(code or (FAILED_JOBS if failed else 0))

    def _reload(self, given: dict[str, Any]) -> bool:
        """Tell whether to restart when the code changes."""
        reload = given["reload"]
        if self._called_from_command_line:
            wanted = settings.DEBUG and not given["drain"]
            return bool(wanted if reload is None else reload)
        if reload or given["hup"] == "restart":
            raise CommandError(
                "Only a worker with a process of its own can begin again. Use the "
                "command line for --reload and --hup=restart."
            )
        return False

    def _has_company(self, given: dict[str, Any]) -> bool:
        """Tell whether this process merely starts the worker and a command beside."""
        if given["beside"] is None or BESIDE in os.environ:
            return False
        if not self._called_from_command_line or given["drain"]:
            raise CommandError(
                "--with is for the command line, and not with --drain: start the "
                "command yourself."
            )
        return True

    def _only_restarts(self, given: dict[str, Any]) -> bool:
        """Tell whether this process merely restarts one that works."""
        return self._reload(given) and WORKING not in os.environ

    def _supervisor(
        self, options: WorkerOptions, given: dict[str, Any], *, reload: bool
    ) -> Supervisor:
        threads: list[Thread] = []
        if self._called_from_command_line:
            main = threading.main_thread()
            threads = [each for each in threading.enumerate() if each is not main]
        watcher = ChangeWatcher() if reload else None
        others = parents() if self._called_from_command_line and not reload else ()
        return Supervisor(
            options,
            watcher,
            restart=given["hup"] == "restart",
            threads=threads,
            is_left=partial(is_left, others) if others else None,
        )

    def _say(self, text: str) -> None:
        # Whoever reads it may have gone: that ends no worker.
        with suppress(OSError, ValueError):
            self.stdout.write(text)
            self.stdout.flush()

    def _check_backend(self, backend: DatabaseBackend) -> None:
        messages = backend.check()
        for message in messages:
            if message.is_serious():
                raise CommandError(str(message))
        self._warn(messages)

    def _warn(self, messages: Iterable[CheckMessage]) -> None:
        for message in messages:
            self.stderr.write(self.style.WARNING(str(message)))

    def _check_database(self, backend: DatabaseBackend, options: WorkerOptions) -> bool:
        """Tell whether the database is there. Raises CommandError without tables."""
        alias = backend.database
        try:
            with connections[alias].cursor() as cursor:
                tables = connections[alias].introspection.table_names(cursor)
            if Worker._meta.db_table not in tables:
                raise CommandError(
                    f"The tables of dbqueue are not in database {alias!r}. "
                    f"Run: manage.py migrate --database {alias}"
                )
            if Worker.objects.using(alias).filter(name=options.name).exists():
                logger.warning(
                    "Another worker is called %r, or was until it was lost; both run, "
                    "but lists will not tell them apart",
                    options.name,
                )
        except Error as error:
            logger.warning("Waiting for database %r: %s", alias, str(error).strip())
            return False
        return True


def _options(backend: DatabaseBackend, given: dict[str, Any]) -> WorkerOptions:
    if given["exit_at_max"] and not (given["max_jobs"] or given["max_rss"]):
        raise CommandError("--exit-at-max needs --max-jobs or --max-rss.")
    own = given["name"] or ""
    if len(own) > NAME_LENGTH or not own.isprintable():
        raise CommandError(
            f"--worker-name {own!r:.300} must be printable, and have at most "
            f"{NAME_LENGTH} characters."
        )
    for name in (*(given["queues"] or ()), *given["exclude"]):
        if not name.isprintable():
            raise CommandError(f"A queue is called {name!r}, which is not printable.")
    known = known_queues(backend, alone=given["backend"] is not None)
    pairs = [slots_of(text, known) for text in given["queues"] or ()]
    wanted = [name for name, _ in pairs]
    for name in (*wanted, *given["exclude"]):
        if known and not any(matches(q, name) for q in (*known, OPERATIONS)):
            raise CommandError(
                f"No queue is called {name!r}.{conf.nearest(name, known)} "
                f"TASKS has: {', '.join(sorted(known))}."
            )
    everything = (tuple(sorted(known | {OPERATIONS})) if known else ("*",),)
    queues = tuple((name,) for name in wanted) if wanted else everything
    # What was not given, WorkerOptions fills from DBQUEUE, or omits.
    names = {field.name for field in fields(WorkerOptions)} - {"queues", "slots"}
    chosen = {name: given[name] for name in names if given.get(name) not in (None, "")}
    database, sender = backend.database, type(backend)
    options = WorkerOptions(
        database=database,
        sender=sender,
        queues=queues,
        slots=[slots for _, slots in pairs],
        **chosen,
    )
    demand_places(pairs)
    scan = options.scan()
    if all(scan.rank(name) is None for name in (known or wanted or ("*",))):
        left_out = ",".join(given["exclude"])
        raise CommandError(f"--exclude {left_out!r} leaves no queue to serve.")
    return options


def _check_health_file(name: str | None) -> None:
    if name is not None and not os.access(Path(name).absolute().parent, os.W_OK):
        raise CommandError(f"--health-file {name!r} is in no folder to write in.")


def _log_to(stream: Any, verbosity: int) -> None:
    """Show the worker's log, as far as LOGGING leaves its handler and level open."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    if not logger.hasHandlers():
        logger.addHandler(handler)
        if logger.level == logging.NOTSET:
            logger.setLevel(_LEVELS[verbosity])
    # Django's own line of each start says what ours of the end says. Its errors are of
    # other backends.
    for name in ("django.tasks", "django_tasks"):
        theirs = logging.getLogger(name)
        if not theirs.hasHandlers():
            theirs.addHandler(handler)
        if theirs.level == logging.NOTSET and verbosity < 2:
            theirs.setLevel(logging.WARNING)
