"""Celery: the app object, which keeps settings and makes tasks."""

import logging
import os
from datetime import datetime
from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from dbqueue.compat.celery import canvas, signals
from dbqueue.compat.celery.app import control, making, periodic
from dbqueue.compat.celery.app.task import Task
from dbqueue.compat.celery.conf import keys, source
from dbqueue.compat.celery.result import AsyncResult
from dbqueue.compat.celery.run.request import Current, running
from dbqueue.conf import nearest

logger = logging.getLogger(__name__)

# Of Celery(): what has no effect here.
_IGNORED = (
    *("amqp", "autofinalize", "backend", "broker", "changes", "control", "events"),
    *("fixups", "loader", "log", "set_as_current", "strict_typing", "tasks"),
)
# Attributes that Celery's has, and what to do without.
_REFUSED = {
    "GroupResult": "Keep the ids of the tasks, and ask for each",
    "ResultSet": "Keep the ids of the tasks, and ask for each",
    "amqp": "Queues are those of TASKS",
    "bugreport": "The first lines of a worker say what it runs on",
    "events": "Connect to dbqueue.signals",
    "loader": "Workers import the modules of tasks",
    "log": "Loggers are those of LOGGING",
    "pool": "There is no broker",
    "producer_pool": "There is no broker",
    "select_queues": "Start manage.py runworker --queues NAME",
    "setup_security": "Jobs are rows of your own database, and are not signed",
}
# Packages whose modules of tasks have another name than `tasks`.
discovered: list[tuple[Any, str]] = []


class Celery:
    """The app object; the queue is that of TASKS, and there is no broker."""

    AsyncResult = staticmethod(AsyncResult)
    Signature = staticmethod(canvas.Signature)

    def __init__(self, main: str | None = None, **given: Any) -> None:
        self.main = main
        self.tasks = making.tasks
        self.control = control.Control(self)
        # Sent once the settings are read, and once the tasks are imported.
        self.on_configure = signals.Signal("on_configure")
        self.on_after_configure = signals.Signal("on_after_configure")
        self.on_after_finalize = signals.Signal("on_after_finalize")
        self.on_after_fork = signals.Signal("on_after_fork")
        self._task_cls: Any = Task
        self._take(given)
        if main is not None:
            apps.append(self)
            making.declare_waiting()

    def _take(self, given: dict[str, Any]) -> None:
        if found := given.pop("config_source", None):
            namespace = given.get("namespace") or ""
            self.config_from_object(found, namespace=namespace)
        if base := given.pop("task_cls", None):
            self._task_cls = base
        given.pop("namespace", None)
        for name, value in given.items():
            if name in _IGNORED or value is None:
                continue
            if unknown := keys.unknown(name):
                near = nearest(name, [*_IGNORED, "include", "task_cls"])
                raise TypeError(f"Celery(): {unknown.partition('.')[0]}.{near}")
            source.current.conf[name] = value

    def __repr__(self) -> str:
        return f"<Celery {self.main}>"

    @property
    def conf(self) -> source.Conf:
        """The settings, by attribute or by key."""
        return source.current.read()

    @property
    def Task(self) -> Any:
        """The class of the tasks that name none; a path is imported by now."""
        self._task_cls = source.named(self._task_cls)
        return self._task_cls

    @property
    def current_task(self) -> Any:
        stack = running.get()
        return stack[-1] if stack else None

    current_worker_task = current_task

    @property
    def timezone(self) -> str:
        """The name of the time zone of crontabs."""
        return periodic.zone()

    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str = ""
    ) -> None:
        """Read the settings that begin with the namespace, once they are needed."""
        source.current.set(obj, namespace)

    def config_from_envvar(
        self, variable_name: str, silent: bool = False, force: bool = False
    ) -> None:
        """Read the settings of the module that an environment variable names.

        Raises ImproperlyConfigured if it is not set, unless `silent`.
        """
        if path := os.environ.get(variable_name):
            self.config_from_object(path)
        elif not silent:
            raise ImproperlyConfigured(
                f"config_from_envvar({variable_name!r}): the environment has no such "
                "variable. Set it to the path of a module."
            )

    def add_defaults(self, given: Any) -> None:
        """Set what nothing else sets."""
        for name, value in dict(given() if callable(given) else given).items():
            source.current.conf.setdefault(name, value)

    def autodiscover_tasks(
        self, packages: Any = None, related_name: str = "tasks", force: bool = False
    ) -> None:
        """Have workers import the modules of this name; `tasks` they do in any case."""
        if packages is not None or related_name != "tasks":
            discovered.append((packages, related_name))

    def task(self, *args: Any, **given: Any) -> Any:
        """See shared_task()."""
        if args and callable(args[0]):
            return making.make(args[0], {}, self.Task)
        return lambda function: making.make(function, given, self.Task)

    def register_task(self, task: Any, **ignored: Any) -> Any:
        """Return the task of a class with a run()."""
        return making.register(task)

    def send_task(
        self, name: str, args: Any = None, kwargs: Any = None, **how: Any
    ) -> Any:
        """Enqueue a task by its name, or by the path of its function.

        Raises NotRegistered.
        """
        return making.find(name).apply_async(args, kwargs, **how)

    def signature(self, task: Any, *args: Any, **options: Any) -> canvas.Signature:
        """Return the signature of a task, by its name."""
        return canvas.signature(task, *args, **options)

    def add_periodic_task(
        self,
        schedule: Any,
        sig: Any,
        args: Any = (),
        kwargs: Any = None,
        name: str | None = None,
        **options: Any,
    ) -> str:
        """Declare a schedule of dbqueue for a signature; return its name."""
        return periodic.add(schedule, sig, args, kwargs, name, options)

    def gen_task_name(self, name: str, module: str) -> str:
        """Return the name of a task that gives itself none."""
        return f"{module}.{name}"

    def now(self) -> datetime:
        return timezone.now()

    def finalize(self, auto: bool = False) -> None:
        """Do nothing: tasks are there once they are made."""

    set_default = set_current = close = finalize

    @property
    def steps(self) -> NoReturn:
        _refuse("app.steps (bootsteps)", "Connect to dbqueue.signals.worker_ready")

    @property
    def backend(self) -> NoReturn:
        _refuse("app.backend", "Ask for results by AsyncResult(id)")

    def connection(self, *args: Any, **how: Any) -> NoReturn:
        _refuse(
            "app.connection()",
            "There is no broker; ask whether workers live by app.control.ping()",
        )

    broker_connection = connection_for_read = connection_for_write = connection
    connection_or_acquire = producer_or_acquire = connection

    def worker_main(self, *args: Any, **how: Any) -> NoReturn:
        _refuse("The celery command", "Start manage.py runworker")

    start = Worker = Beat = worker_main

    def __getattr__(self, name: str) -> NoReturn:
        if name in _REFUSED:
            _refuse(f"app.{name}", _REFUSED[name])
        raise AttributeError(f"{self!r} has no attribute {name!r}")


def _refuse(what: str, way_out: str) -> NoReturn:
    raise NotImplementedError(
        f"{what} is not supported by dbqueue.compat.celery. {way_out}."
    )


# All that have a name, the first first.
apps: list[Celery] = []
_unnamed = Celery()


class _CurrentApp:
    """The first app of the project, or else one without a name."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found(), name)

    def __repr__(self) -> str:
        return repr(self._found())

    def _found(self) -> Celery:
        return apps[0] if apps else _unnamed


current_app: Any = _CurrentApp()
current_task: Any = Current()
