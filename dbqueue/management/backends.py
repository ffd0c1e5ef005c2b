"""What several commands share: the choice of a backend, options, counts and errors."""

import getpass
import math
from argparse import SUPPRESS, ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import (
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
)
from django.db import Error

from dbqueue import conf
from dbqueue.backend import DatabaseBackend, our_backends
from dbqueue.exceptions import MigrationsNotApplied
from dbqueue.jobs.insert import migrated


@contextmanager
def database_errors_explained(alias: str) -> Iterator[None]:
    """Turn the errors of a database into a CommandError."""
    try:
        with migrated(alias):
            yield
    except MigrationsNotApplied as error:
        raise CommandError(str(error)) from error
    except Error as error:
        raise CommandError(f"Database {alias!r}: {str(error).strip()}") from error


def storing_backends() -> dict[str, DatabaseBackend]:
    """Return the dbqueue entries of TASKS that keep jobs for a worker, by alias."""
    return {a: b for a, b in our_backends().items() if b.stores_jobs}


def choose_backend(
    alias: str | None, *, database: str | None = None
) -> DatabaseBackend:
    """Return the dbqueue entry of TASKS with the alias; by default, the first.

    With `database`, the first whose jobs are there. Raises CommandError if there is
    none.
    """
    ours = storing_backends()
    if database is not None:
        if alias is not None:
            raise CommandError("Give either --backend or --database, not both.")
        known = {backend.database: backend for backend in reversed(ours.values())}
        if database not in known:
            near = conf.nearest(database, known)
            raise CommandError(f"--database {database!r} holds no jobs.{near}")
        return known[database]
    if not ours:
        raise CommandError(
            "No entry of TASKS has the BACKEND 'dbqueue.backend.DatabaseBackend'."
        )
    name = next(iter(ours)) if alias is None else alias
    if name not in ours:
        near = conf.nearest(name, ours)
        raise CommandError(f"--backend {name!r} is not a dbqueue entry of TASKS.{near}")
    return ours[name]


def known_queues(backend: DatabaseBackend, *, alone: bool = False) -> set[str]:
    """Return the queues of all in the backend's database, or its own; empty = any."""
    known: set[str] = set()
    for other in storing_backends().values():
        if other is backend or (other.database == backend.database and not alone):
            if not other.queues:
                return set()
            known |= other.queues
    return known


def add_backend_option(parser: CommandParser) -> None:
    parser.add_argument("--backend", help="an alias in TASKS; default: the first")
    database = "an alias in DATABASES, in place of --backend"
    parser.add_argument("--database", metavar="ALIAS", help=database)


# What Django has every command take: with a value, and without.
_VALUES = ("--settings", "--pythonpath")
_FLAGS = ("--traceback", "--no-color", "--force-color", "--skip-checks")


def repeat_options(action: CommandParser) -> None:
    """Let an action of a command have the options of all commands behind it, too."""
    how: dict[str, Any] = {"default": SUPPRESS, "help": SUPPRESS}
    action.add_argument("-v", "--verbosity", type=int, choices=range(4), **how)
    for name in (*_VALUES, "--backend", "--database"):
        action.add_argument(name, **how)
    for name in _FLAGS:
        action.add_argument(name, action="store_true", **how)


class _HelpFormatter(DjangoHelpFormatter):
    def _fill_text(self, text: str, width: int, indent: str) -> str:
        # Examples are lines; all else is filled.
        return text if "\n" in text else super()._fill_text(text, width, indent)


def add_examples(parser: CommandParser, *examples: str) -> None:
    """Show the commands, written without `manage.py`, at the end of --help."""
    parser.formatter_class = _HelpFormatter
    lines = (f"  manage.py {example}" for example in examples)
    parser.epilog = "\n".join(["examples:", *lines])


def default(
    key: str,
    words: Callable[[Any], str] = str,
    current: Callable[[], Any] = conf.current,
) -> str:
    """Say, for a help text, which value a key of DBQUEUE or of a dict in it has."""
    try:
        settings = current()
    except ImproperlyConfigured:
        # The check tells of it; here it would be a bare traceback, even for --help.
        return f"default: {key} in DBQUEUE"
    value = words(getattr(settings, key.lower()))
    return f"default: {value}, from {settings.PLACE}[{key!r}]"


def add_pruning_options(
    parser: CommandParser, states: Iterable[str], batch: int, rows: str
) -> None:
    """Add the options of commands that delete `rows` by their state, in batches."""
    parser.add_argument(
        "--state",
        action="append",
        choices=[state.lower() for state in states],
        help="only this state; may be given several times; default: all",
    )
    help = f"{rows}; default: %(default)s"
    parser.add_argument("--batch", type=positive, metavar="N", default=batch, help=help)
    parser.add_argument("--dry-run", action="store_true", help="only count them")


def counted(number: int, noun: str, *, plural: str = "") -> str:
    """Return the number with its noun, as in "1 file" and "2 files"."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def shell_user() -> str:
    """Return the name of the user of this shell; "" if there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        return ""


def positive(text: str) -> int:
    """Return the number that an option was given. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def non_negative(text: str, kind: str) -> float:
    """Return the number that an option was given. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number < math.inf:
        raise ArgumentTypeError(f"{text!r} is not a number of {kind}")
    return number
