"""Celery and shared_task: how tasks are declared, and the settings that count."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from django.apps import apps

from dbqueue import task as declare
from dbqueue.compat.celery import conf, options
from dbqueue.compat.celery.result import AsyncResult
from dbqueue.compat.celery.task import Task

# A worker that dies is no fault of the task: it is run again so often.
LOST = 3
_tasks: dict[str, Task] = {}
_waiting: list[tuple[Task, Callable[..., Any]]] = []


class Celery:
    """The app object; the queue is that of TASKS, and there is no broker."""

    def __init__(self, main: str | None = None, **ignored: Any) -> None:
        self.main = main
        self.tasks = _tasks

    def __repr__(self) -> str:
        return f"<Celery {self.main}>"

    @property
    def conf(self) -> conf.Conf:
        """The settings, by attribute or by key."""
        return conf.current.read()

    def config_from_object(self, found: Any, namespace: str = "", **more: Any) -> None:
        """Read the settings that begin with the namespace, once they are needed."""
        conf.current.set(found, namespace)

    def autodiscover_tasks(self, *ignored: Any, **more: Any) -> None:
        """Do nothing: workers import the tasks of all apps in any case."""

    def task(self, *args: Any, **given: Any) -> Any:
        """See shared_task()."""
        return shared_task(*args, **given)

    def send_task(
        self, name: str, args: Any = None, kwargs: Any = None, **how: Any
    ) -> Any:
        """Enqueue a task by its name, or by the path of its function."""
        known = _tasks.get(name)
        if known is None:
            import_module(name.rpartition(".")[0])
            known = _tasks.get(name)
        if known is None:
            raise ValueError(
                f"There is no task {name!r}. Give the path of its function."
            )
        return known.apply_async(args, kwargs, **how)

    def AsyncResult(self, id: str, **ignored: Any) -> Any:
        """Return the result of a task by its id."""
        return AsyncResult(id)

    def add_periodic_task(self, *args: Any, **how: Any) -> None:
        raise NotImplementedError(
            "add_periodic_task() is not supported by dbqueue.compat.celery yet. "
            "Declare a schedule of dbqueue; see the guide."
        )


current_app = Celery()


def shared_task(*args: Any, **given: Any) -> Any:
    """Make a task of a module-level function, with the options of Celery's.

    Raises TypeError for an option that there is not, with the nearest, and
    NotImplementedError for one that is refused.
    """
    if args and callable(args[0]):
        return _made(args[0], {})
    return lambda function: _made(function, given)


def declare_waiting() -> None:
    """Declare what was made before the models were there, as beside the app object."""
    while _waiting:
        made, function = _waiting.pop(0)
        made.job = _declared(made, function)


def _made(function: Callable[..., Any], given: dict[str, Any]) -> Task:
    where = f"@shared_task of {function.__qualname__}()"
    chosen = options.check(given, options.OF_TASKS, where)
    if chosen.get("bind") and not options.takes(function):
        raise TypeError(f"{where} has bind=True, and takes no self.")
    made = (chosen.get("base") or Task)(function, chosen)
    _waiting.append((made, function))
    if apps.models_ready:
        declare_waiting()
    _tasks[made.name] = _tasks[f"{function.__module__}.{function.__name__}"] = made
    return made


def _declared(made: Any, function: Callable[..., Any]) -> Any:
    def run(context: Any, *args: Any, **kwargs: Any) -> Any:
        return made.run_job(context, *args, **kwargs)

    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(run, name, getattr(function, name))
    limits = [s for s in (made.soft_time_limit, made.time_limit) if s]
    how: dict[str, Any] = {"timeout": float(min(limits))} if limits else {}
    if made.queue:
        how["queue_name"] = made.queue
    if made.priority is not None:
        how["priority"] = made.priority
    # Celery runs a task once, whatever it raises, unless it asks for more itself.
    return declare(
        takes_context=True,
        codec="typed",
        max_attempts=LOST,
        give_up_on=(Exception,),
        **how,
    )(run)
