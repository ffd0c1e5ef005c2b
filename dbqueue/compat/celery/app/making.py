"""From a function to a task: its class, its name, and its declaration in dbqueue."""

from collections.abc import Callable
from functools import update_wrapper
from importlib import import_module
from inspect import iscoroutinefunction, signature
from typing import Any

from django.apps import apps
from django.utils.module_loading import autodiscover_modules

from dbqueue import task as declare
from dbqueue.compat.celery.conf import options, routes, source
from dbqueue.compat.celery.exceptions import NotRegistered
from dbqueue.conf import nearest

# A worker that dies is no fault of the task: it is run again so often.
LOST = 3


class Registry(dict[str, Any]):
    """The tasks by name."""

    def __missing__(self, name: str) -> Any:
        raise NotRegistered(
            f"There is no task {name!r}.{nearest(str(name), self)} Give its name, or "
            "the path of its function."
        )

    def regular(self) -> dict[str, Any]:
        return dict(self)


tasks = Registry()
# The same by the paths of their functions.
by_path: dict[str, Any] = {}
_waiting: list[Any] = []


def shared_task(*args: Any, **given: Any) -> Any:
    """Make a task of a module-level function, with the options of Celery's.

    Raises TypeError for an option that there is not, with the nearest, and
    NotImplementedError for one that is refused.
    """
    if args and callable(args[0]):
        return make(args[0], {})
    return lambda function: make(function, given)


def make(function: Callable[..., Any], given: dict[str, Any], base: Any = None) -> Any:
    """Return the task of a function; `base` is its class unless the options say."""
    where = f"@shared_task of {function.__qualname__}()"
    chosen = options.of_task(given, where)
    if chosen.get("bind") and not options.takes(function):
        raise TypeError(f"{where} has bind=True, and takes no self.")
    if iscoroutinefunction(function):
        raise NotImplementedError(
            f"{where} is async, which Celery's tasks are not. Use @dbqueue.task."
        )
    kind = chosen.pop("base", None) or base
    kind = kind or import_module("dbqueue.compat.celery.app.base").current_app.Task
    name = chosen.pop("name", None)
    members = {
        **chosen,
        "run": function if chosen.get("bind") else staticmethod(function),
        "path": f"{function.__module__}.{function.__qualname__}",
        "__doc__": function.__doc__,
        "__module__": function.__module__,
    }
    made: Any = type(function.__name__, (kind,), members)()
    update_wrapper(made, function)
    return _registered(made, name or members["path"])


def register(made: Any) -> Any:
    """Return the task of a class of a project's own, which has a run().

    Raises TypeError for an option that there is not.
    """
    if isinstance(made, type):
        made = made()
    kind = type(made)
    own = {n: v for n, v in vars(kind).items() if n in options.REFUSED}
    options.of_task(own, f"Task {kind.__qualname__}")
    made.path = f"{kind.__module__}.{kind.__qualname__}"
    return _registered(made, made.name or made.path)


def find(name: str) -> Any:
    """Return a task by its name, or by the path of its function.

    Its module is imported for it, those of all apps, and those that the project has
    named, if need be. Raises NotRegistered.
    """
    for look in (_import, _import_tasks, _import_named):
        if name not in tasks and name not in by_path:
            look(name)
    return by_path.get(name) or tasks[name]


def declare_waiting() -> None:
    """Declare what was made before the models were there, as beside the app object."""
    if not apps.models_ready:
        return
    import_module("dbqueue.compat.celery.app.joining")
    while _waiting:
        made = _waiting.pop(0)
        made.job = _declared(made)


def _registered(made: Any, name: str) -> Any:
    made.name = name
    made.signature_of_run = signature(made.run)
    tasks[made.name] = by_path[made.path] = made
    _waiting.append(made)
    declare_waiting()
    return made


def _import(name: str) -> None:
    module = name.rpartition(".")[0]
    if module:
        try:
            import_module(module)
        except ModuleNotFoundError as error:  # a name that is no path
            if not error.name or not f"{module}.".startswith(f"{error.name}."):
                raise


def _import_tasks(name: str) -> None:
    autodiscover_modules("tasks")


def _import_named(name: str) -> None:
    import_module("dbqueue.compat.celery.app.joining").import_named()


def _declared(made: Any) -> Any:
    for name, value in routes.annotated(made.name).items():
        setattr(made, name, value)

    def run(context: Any, *args: Any, **kwargs: Any) -> Any:
        return made.run_job(context, args, kwargs)

    run.__module__, _, run.__name__ = made.path.rpartition(".")
    run.__qualname__, run.__doc__ = run.__name__, made.__doc__
    if "<locals>" in made.path:
        run.__module__, run.__qualname__ = made.__module__, made.path
    # Celery runs a task once, whatever it raises, unless it asks for more itself.
    return declare(
        takes_context=True,
        codec="typed",
        max_attempts=LOST,
        give_up_on=(Exception,),
        **_of_declaration(made),
    )(run)


def _of_declaration(made: Any) -> dict[str, Any]:
    how: dict[str, Any] = {}
    limits = [
        getattr(made, name) or source.value(f"task_{name}")
        for name in ("soft_time_limit", "time_limit")
    ]
    if any(limits):
        how["timeout"] = float(min(limit for limit in limits if limit))
    queue = made.queue or source.value("task_default_queue")
    if queue:
        how["queue_name"] = queue
    priority = made.priority
    if priority is None:
        priority = source.value("task_default_priority")
    if priority is not None:
        how["priority"] = priority
    given = made.rate_limit or source.value("task_default_rate_limit")
    if rate := routes.rate(given):
        # The limits of dbqueue are a wing, which needs the models.
        how["limit"] = import_module("dbqueue.limits").Limit(**rate)
    return how
