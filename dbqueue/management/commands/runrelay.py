"""manage.py runrelay"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dbqueue import conf
from dbqueue.backend import DatabaseBackend
from dbqueue.management.backends import (
    add_backend_option,
    add_examples,
    choose_backend,
    database_errors_explained,
)
from dbqueue.management.discovery import import_tasks
from dbqueue.models import Worker
from dbqueue.relay.engines import Engine, demand_fit_tasks, engines
from dbqueue.relay.exceptions import EngineUnavailable
from dbqueue.relay.relay import Relay, run_until_signal


class Command(BaseCommand):
    help = (
        "Hands the jobs of queues that have an engine to it, until it is stopped; "
        "several may run at once."
    )
    requires_system_checks = ["dbqueue"]

    def add_arguments(self, parser: CommandParser) -> None:
        add_backend_option(parser)
        queue = (
            "only this queue; may be given several times; default: all with an engine"
        )
        parser.add_argument("--queue", action="append", metavar="NAME", help=queue)
        drain = "hand over what is ready now, and end"
        parser.add_argument("--drain", action="store_true", help=drain)
        add_examples(parser, "runrelay", "runrelay --queue video")

    def handle(self, *args: Any, **options: Any) -> None:
        backend = choose_backend(options["backend"], database=options["database"])
        import_tasks()
        with database_errors_explained(backend.database):
            Worker.objects.using(backend.database).exists()  # before anything starts
            try:
                chosen = _chosen(backend, options["queue"])
                for engine in chosen:
                    demand_fit_tasks(engine)
                relay = Relay(chosen)
            except ImproperlyConfigured as error:
                raise CommandError(str(error)) from error
            if options["verbosity"]:
                names = ", ".join(engine.queue for engine in chosen)
                self.stdout.write(f"Relaying {names} from {backend.database!r}.")
            if options["drain"]:
                try:
                    relay.drain()
                except EngineUnavailable as error:
                    raise CommandError(str(error)) from error
            else:
                run_until_signal(relay)


def _chosen(backend: DatabaseBackend, names: list[str] | None) -> list[Engine]:
    """Return the engines of the queues, or all. Raises CommandError."""
    known = {e.queue: e for e in engines() if e.database == backend.database}
    if not known:
        raise CommandError(
            f"TASKS[{backend.alias!r}]['OPTIONS'] has no 'engines'. A relay hands "
            "jobs to one; local workers are started by: manage.py runworker"
        )
    for name in names or ():
        if name not in known:
            near = conf.nearest(name, known)
            raise CommandError(f"--queue {name!r} has no engine.{near}")
    return [known[name] for name in dict.fromkeys(names or known)]
