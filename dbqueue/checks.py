"""System checks: settings that are wrong, and settings that will hurt."""

from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands
from django.db import connections, router
from django.utils.connection import ConnectionDoesNotExist

from dbqueue import conf, dialects, wings
from dbqueue.jobs.transactions import model_databases
from dbqueue.models import Job

# Its import registers the framework's check, which calls ours.
from dbqueue.tasks import defaults, framework  # noqa: F401


@checks.register("dbqueue")
def check_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """E001: DBQUEUE is wrong. W001: another app's runworker comes first."""
    found: list[checks.CheckMessage] = []
    for settings in (conf, *wings.modules("conf")):
        try:
            settings.current()
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
    return found


def unknown_options(backend: Any) -> list[str]:
    """Return what is wrong with the names in OPTIONS of an entry of TASKS."""
    return [
        f"TASKS[{backend.alias!r}]['OPTIONS'] has no {name!r}."
        f"{conf.nearest(name, backend.OPTIONS)}"
        for name in sorted(backend.options.keys() - backend.OPTIONS)
    ]


def wrong_defaults(backend: Any) -> list[str]:
    """Return what is wrong with OPTIONS["defaults"] of an entry of TASKS."""
    where = f"TASKS[{backend.alias!r}]['OPTIONS']['defaults']"
    given = backend.options.get("defaults", {})
    return [f"{where}{words}" for words in defaults.problems(given, backend.queues)]


def check_backend(backend: Any) -> list[checks.CheckMessage]:
    """E002-E004, E006 and W002-W005, for one entry of TASKS."""
    where = f"TASKS[{backend.alias!r}]['OPTIONS']"
    found: list[checks.CheckMessage] = [
        checks.Error(words, id="dbqueue.E002") for words in unknown_options(backend)
    ]
    found += [
        checks.Error(words, id="dbqueue.E006") for words in wrong_defaults(backend)
    ]
    alias = backend.options.get("database") or router.db_for_write(Job)
    try:
        connection = connections[alias]
    except ConnectionDoesNotExist:
        message = f"{where}['database'] is {alias!r}.{conf.nearest(alias, connections)}"
        return [*found, checks.Error(message, id="dbqueue.E003")]
    try:
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
    return [*found, *dialects.kind_of(connection).check(connection)]
