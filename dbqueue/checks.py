"""System checks: settings that are wrong, and settings that will hurt."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from django.conf import global_settings, settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands
from django.db import Error, connections, router
from django.utils.module_loading import import_string

from dbqueue import conf, dialects, status, wings
from dbqueue.jobs.transactions import model_databases
from dbqueue.models import Job

# Its import registers the framework's check, which calls ours.
from dbqueue.tasks import defaults
from dbqueue.tasks.framework import task_backends
from dbqueue.tasks.options import CODECS, OPERATIONS

BACKENDS = (
    "dbqueue.backend.DatabaseBackend",
    "dbqueue.testing.ImmediateBackend",
    "dbqueue.testing.RecordingBackend",
)
# Seconds that jobs of a queue have waited, until it counts as forgotten.
FORGOTTEN = 60.0


def demand_backends() -> None:
    """Raise ImproperlyConfigured for an entry of TASKS that is meant to be one of ours.

    The tasks are declared, and Django's own check is made, before ours could tell.
    """
    given = getattr(settings, "TASKS", None) or {}
    _demand_kind("TASKS", given, Mapping, "a dict of aliases and entries")
    for alias, entry in given.items():
        place = f"TASKS[{alias!r}]"
        _demand_kind(place, entry, Mapping, f"a dict, {{'BACKEND': {BACKENDS[0]!r}}}")
        path = str(entry.get("BACKEND", ""))
        if path in BACKENDS:
            queues, others = entry.get("QUEUES", []), entry.get("OPTIONS", {})
            names = (list, tuple, set, frozenset)
            _demand_kind(f"{place}['QUEUES']", queues, names, "a list of names")
            _demand_kind(f"{place}['OPTIONS']", others, Mapping, "a dict")
        near = get_close_matches(path, BACKENDS, n=1)
        ours = path.partition(".")[0] == "dbqueue"
        if path in BACKENDS or not (ours or near):
            continue
        try:
            if ours:
                import_string(path)
            elif find_spec(path.rpartition(".")[0]) is None:
                raise ModuleNotFoundError("no such module")
        except (ImportError, ValueError) as error:
            raise ImproperlyConfigured(
                f"TASKS[{alias!r}]['BACKEND'] is {path!r}, which cannot be imported: "
                f"{error}. Did you mean {(near or BACKENDS)[0]!r}?"
            ) from error


def _demand_kind(place: str, value: Any, kind: Any, words: str) -> None:
    if not isinstance(value, kind):
        raise ImproperlyConfigured(f"{place} is {value!r}; it must be {words}.")


ALIAS_LENGTH = 100  # what the column of a job's backend holds


@checks.register("dbqueue")
def check_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """E001: DBQUEUE is wrong. W001: another app's runworker comes first.

    W009: there is no TASKS. W012: django-tenants gives each tenant a queue. W015:
    DBQUEUE limits a queue that no entry of TASKS lists.
    """
    found: list[checks.CheckMessage] = []
    for section in (conf, *wings.modules("conf")):
        try:
            section.current()
        except ImproperlyConfigured as error:
            found.append(checks.Error(str(error), id="dbqueue.E001"))
    owner = get_commands().get("runworker")
    if owner != "dbqueue":
        found.append(
            checks.Warning(
                f"'manage.py runworker' is a command of {owner!r}.",
                hint="Use 'manage.py dbqueue_worker', or list 'dbqueue' before it.",
                id="dbqueue.W001",
            )
        )
    return [*found, *_check_limited(), *_check_tasks(), *_check_tenants()]


def _check_limited() -> Iterator[checks.CheckMessage]:
    try:
        limited = conf.current().queues
    except ImproperlyConfigured:  # E001 tells of it
        return
    backends: list[Any] = [task_backends[alias] for alias in task_backends.settings]
    lists = [b.queues for b in backends if getattr(b, "stores_jobs", False)]
    if not all(lists):  # an entry without QUEUES has any
        return
    known = {OPERATIONS}.union(*lists)
    for name in limited if lists else ():
        if name not in known:
            yield checks.Warning(
                f"DBQUEUE['QUEUES'] limits {name!r}, a queue that no entry of TASKS "
                f"lists.{conf.nearest(name, known)}",
                hint="Correct the name, or add it to QUEUES of an entry of TASKS.",
                id="dbqueue.W015",
            )


def _check_tasks() -> Iterator[checks.CheckMessage]:
    given = getattr(settings, "TASKS", None)
    if given and given is not getattr(global_settings, "TASKS", None):
        return
    yield checks.Warning(
        "There is no setting TASKS: jobs run inside enqueue(), and not in a worker.",
        hint=f"TASKS = {{'default': {{'BACKEND': {BACKENDS[0]!r}}}}}",
        id="dbqueue.W009",
    )


def _check_tenants() -> Iterator[checks.CheckMessage]:
    if any(_is_dbqueue(app) for app in getattr(settings, "TENANT_APPS", ())):
        yield checks.Warning(
            "'dbqueue' is in TENANT_APPS: each tenant's schema has a queue of its own, "
            "which no worker looks at.",
            hint="List it in SHARED_APPS only, and run: manage.py migrate_schemas",
            id="dbqueue.W012",
        )


def _is_dbqueue(app: str) -> bool:
    return app == "dbqueue" or app.startswith("dbqueue.apps.")


@checks.register("dbqueue", checks.Tags.database)
def check_queues(databases: Any = None, **kwargs: Any) -> Iterator[checks.CheckMessage]:
    """W010: jobs wait, and no live worker takes their queue. Asks the database."""
    for alias in databases or ():
        if alias not in _databases_of_jobs():
            continue
        try:
            forgotten = status.unserved(alias, FORGOTTEN)
        except Error:  # not migrated, or away
            continue
        for queue in forgotten:
            yield checks.Warning(
                f"Jobs wait in queue {queue.queue!r} of database {alias!r}, for "
                f"{queue.oldest_wait:.0f} s, and no live worker takes that queue.",
                hint="Start: manage.py runworker. If one runs, it has other --queues, "
                "other settings or another database: its first lines tell.",
                id="dbqueue.W010",
            )


def _databases_of_jobs() -> set[str]:
    backends: list[Any] = [task_backends[alias] for alias in task_backends.settings]
    return {b.database for b in backends if getattr(b, "stores_jobs", False)}


def wrong_names(backend: Any) -> list[str]:
    """Return what is wrong with the alias of an entry of TASKS, and in its OPTIONS."""
    alias = backend.alias
    found = []
    if len(alias) > ALIAS_LENGTH or not alias.isprintable():
        found.append(
            f"TASKS has the alias {alias!r:.200}; it must be printable, and have at "
            f"most {ALIAS_LENGTH} characters."
        )
    codec = backend.options.get("codec")
    if codec is not None and codec not in CODECS:
        found.append(
            f"TASKS[{alias!r}]['OPTIONS']['codec'] is {codec!r}; it must be one of "
            f"{', '.join(CODECS)}."
        )
    return found + [
        f"TASKS[{backend.alias!r}]['OPTIONS'] has no {name!r}."
        f"{conf.nearest(name, backend.OPTIONS)}"
        for name in sorted(backend.options.keys() - backend.OPTIONS)
    ]


def wrong_defaults(backend: Any) -> list[str]:
    """Return what is wrong with OPTIONS["defaults"] of an entry of TASKS."""
    where = f"TASKS[{backend.alias!r}]['OPTIONS']['defaults']"
    given = backend.options.get("defaults", {})
    return [f"{where}{words}" for words in defaults.problems(given, backend.queues)]


def check_options(backend: Any) -> list[checks.CheckMessage]:
    """E002 and E006, for one entry of TASKS, whether it has a database or not."""
    found: list[checks.CheckMessage] = [
        checks.Error(words, id="dbqueue.E002") for words in wrong_names(backend)
    ]
    return found + [
        checks.Error(words, id="dbqueue.E006") for words in wrong_defaults(backend)
    ]


def check_backend(backend: Any) -> list[checks.CheckMessage]:
    """E002-E004, E006, W002-W005 and W011, for one entry of TASKS."""
    where = f"TASKS[{backend.alias!r}]['OPTIONS']"
    found = check_options(backend)
    alias = backend.options.get("database") or router.db_for_write(Job)
    if alias not in connections:
        message = f"{where}['database'] is {alias!r}.{conf.nearest(alias, connections)}"
        return [*found, checks.Error(message, id="dbqueue.E003")]
    try:
        connection = connections[alias]
        dialects.of(alias)
    except ImproperlyConfigured as error:
        return [*found, checks.Error(str(error), id="dbqueue.E004")]
    if model_databases() - {alias}:
        found.append(
            checks.Warning(
                f"Jobs are in database {alias!r}; models are also elsewhere.",
                hint="A job enqueued in a transaction on another database is written "
                "after that transaction's commit, not with it.",
                id="dbqueue.W002",
            )
        )
    found += dialects.kind_of(connection).check(connection)
    with suppress(ImproperlyConfigured):  # E001 tells of that
        found += check_pool(alias, conf.current().threads)
    return found


def check_pool(alias: str, threads: int) -> Iterator[checks.CheckMessage]:
    """W011: the driver's pool is too small for a worker of so many threads."""
    size = dialects.pool_size(connections[alias])
    if size is not None and size < threads + 1:
        yield checks.Warning(
            f"The pool of database {alias!r} holds {size} connections at most; a "
            f"worker's process of {threads} threads uses {threads + 1}.",
            hint=f"Set OPTIONS['pool']['max_size'] to {threads + 2}, which is one for "
            "each thread, for the worker itself, and for async jobs; or jobs wait for "
            "a connection, and fail.",
            id="dbqueue.W011",
        )
