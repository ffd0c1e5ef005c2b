"""Options for tasks that name none themselves: by their queue, or by their app."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps

from dbqueue.conf import nearest
from dbqueue.tasks import options
from dbqueue.tasks.framework import InvalidTask, InvalidTaskBackend, task_backends
from dbqueue.tasks.task import Task, stored

LIMITS = ("max_attempts", "timeout", "backoff")
HISTORY = ("keep", "keep_result")
OPTIONS = LIMITS + HISTORY


class Defaults:
    """What OPTIONS["defaults"] of an entry of TASKS says, which problems() has checked.

    A task's own option comes first, then that of its queue, of its app, and of DBQUEUE.
    """

    def __init__(self, given: Mapping[str, Mapping[str, Any]]) -> None:
        self._given = given
        self._known: dict[tuple[str, str], dict[str, Any]] = {}

    def attempts(self, task: Task[..., Any]) -> int:
        """Return how many attempts of the task may fail, in the queue that it names."""
        if task.max_attempts is not None:
            return task.max_attempts
        found = self._of_place(task, task.queue_name).get("max_attempts")
        return task.attempts_allowed if found is None else int(found)

    def fill(self, task: Task[..., Any], queue_name: str) -> Task[..., Any]:
        """Return the task with what its place says, as a worker runs it."""
        more = {
            name: value
            for name, value in self._of_place(task, queue_name).items()
            if getattr(task, name) is None
        }
        return stored(task, **more)

    def _of_place(self, task: Task[..., Any], queue_name: str) -> dict[str, Any]:
        key = task.func.__module__, queue_name
        if key not in self._known:
            self._known[key] = self._look_up(*key)
        return self._known[key]

    def _look_up(self, module: str, queue_name: str) -> dict[str, Any]:
        app = apps.get_containing_app_config(module)
        places = [f"app:{app.label}"] if app else []
        found: dict[str, Any] = {}
        for place in (*places, f"queue:{queue_name}"):
            said = self._given.get(place, {})
            found |= {name: said[name] for name in said if said[name] is not None}
        return found


def of_backend(alias: str) -> Defaults | None:
    """Return the defaults of an entry of TASKS; None if it has none, or is not ours."""
    try:
        backend = task_backends[alias]
    except InvalidTaskBackend:
        return None
    found: Defaults | None = getattr(backend, "defaults", None)
    return found


def are_given() -> bool:
    """Tell whether any entry of TASKS has defaults."""
    return any(of_backend(alias) is not None for alias in task_backends.settings)


def placed(task: Task[..., Any], queue_name: str, backend: str) -> Task[..., Any]:
    """Return the task of a job with what its place says."""
    given = of_backend(backend)
    return task if given is None else given.fill(task, queue_name)


def problems(given: Any, queues: set[str]) -> Iterator[str]:
    """Yield what is wrong with OPTIONS["defaults"]; no `queues` means: any."""
    if not isinstance(given, Mapping):
        yield f" is {given!r}; it must be a dict, of places such as 'queue:mail'."
        return
    labels = {app.label for app in apps.get_app_configs()}
    known = {"queue": queues, "app": labels}
    for place, said in given.items():
        kind, _, name = str(place).partition(":")
        if kind not in known or not name:
            places = [f"{kind}:{n}" for kind, names in known.items() for n in names]
            near = nearest(str(place), places)
            yield f" has no place {place!r}: 'queue:NAME' or 'app:LABEL'.{near}"
        elif known[kind] and name not in known[kind]:
            yield f"[{place!r}] names no {kind}.{_near(kind, name, known[kind])}"
        else:
            yield from (f"[{place!r}]{words}" for words in _wrong(said))


def _near(kind: str, name: str, known: set[str]) -> str:
    if kind == "app" and apps.is_installed(name):  # its name instead of its label
        label = {app.name: app.label for app in apps.get_app_configs()}.get(name, name)
        return f" Did you mean 'app:{label}'?"
    near = nearest(name, known)
    return near.replace("'", f"'{kind}:", 1)


def _wrong(said: Any) -> Iterator[str]:
    if not isinstance(said, Mapping):
        yield f" is {said!r}; it must be a dict with any of {', '.join(OPTIONS)}."
        return
    for name in said:
        if name not in OPTIONS:
            yield f" has no option {name!r}.{nearest(str(name), OPTIONS)}"
    try:
        options.check_limits(*(said.get(name) for name in LIMITS))
        options.check_keep(*(said.get(name) for name in HISTORY))
    except InvalidTask as error:
        yield f": {error}"
