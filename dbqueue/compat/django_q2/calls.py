"""A call as django-q2 takes it, as a job: its options, and which of them there are."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from dbqueue.backend import DatabaseBackend
from dbqueue.compat.django_q2.models import Call
from dbqueue.compat.django_q2.results import WRAPPER
from dbqueue.exceptions import InvalidPayload
from dbqueue.jobs.moves.choosing import storing_backend
from dbqueue.tasks import registry
from dbqueue.tasks.results import JobResult
from dbqueue.tasks.task import Task

logger = logging.getLogger(__name__)

# The keywords of async_task() that are not the function's, and what becomes of them.
DONE = ("task_name", "group", "hook", "cluster", "ack_failure")
IGNORED = ("save", "cached", "timeout", "iter_count", "iter_cached", "broker_name")
REFUSED = {
    "sync": "Run it with dbqueue.testing.run_jobs(), or call the function.",
    "chain": "Enqueue the next task at the end of the one before.",
    "broker": "Name the queue: async_task(…, cluster='…').",
}
OPTIONS = (*DONE, *IGNORED, *REFUSED)
# For the wrapper; all others are facts of the job.
_CARRIED = ("hook", "ack_failure", "intended_date_kwarg")
_told: set[str] = set()


def parted(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the function's own keywords, and the options among the given ones.

    Raises NotImplementedError for an option that is refused.
    """
    own = dict(kwargs)
    given = dict(own.pop("q_options", None) or {})
    for name in OPTIONS:
        if name in own:
            value = own.pop(name)
            given.setdefault(name, value)
    for name, way_out in REFUSED.items():
        if given.pop(name, None):
            raise NotImplementedError(
                f"async_task(…, {name}=…) is not supported by "
                f"dbqueue.compat.django_q2. {way_out}"
            )
    for name in IGNORED:
        if given.pop(name, None) is not None and name not in _told:
            _told.add(name)
            logger.info("%s= has no effect in dbqueue.compat.django_q2", name)
    return own, given


def path_of(func: Callable[..., Any] | str) -> str:
    """Return the dotted path of the task that a function or a path names.

    Raises TaskNotFound, TaskNotAllowed and InvalidTask.
    """
    return registry.as_task(func).module_path


def enqueue(
    path: str,
    args: Any,
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    job_id: UUID | None = None,
    run_after: datetime | None = None,
) -> JobResult:
    """Enqueue a call, in the caller's transaction. Raises what enqueue() raises.

    It is a job of its own task, if that says all there is to say.
    """
    task, given, named = as_job(path, args, kwargs, options)
    task = task.using(
        queue_name=options.get("cluster"), job_id=job_id, run_after=run_after
    )
    backend: Any = task.get_backend()
    name, group = options.get("task_name"), options.get("group")
    if not (name or group):
        result: JobResult = backend.enqueue(task, given, named)
        return result
    with transaction.atomic(using=backend.database):
        result = backend.enqueue(task, given, named)
        id = UUID(result.id)
        call = Call(
            job_id=id,
            name=str(name or id.hex)[:100],
            group=None if group is None else str(group)[:100],
            made_at=timezone.now(),
        )
        rows = Call.objects.using(backend.database)
        rows.bulk_create([call], ignore_conflicts=job_id is not None)
    return result


def as_job(
    path: str, args: Any, kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[Task[..., Any], list[Any], dict[str, Any]]:
    """Return the task of a call's job, and its arguments.

    It is the task at the path; with a hook, or with types that JSON lacks, the one that
    calls it. Raises what enqueue() raises.
    """
    task = registry.resolve(path)
    carried = {name: options[name] for name in _CARRIED if options.get(name)}
    if not carried and _is_plain(task, args, kwargs):
        return task, list(args), dict(kwargs)
    if callable(carried.get("hook")):
        hook = carried["hook"]
        carried["hook"] = f"{hook.__module__}.{hook.__qualname__}"
    told = {name: str(options[name]) for name in ("group",) if options.get(name)}
    if options.get("task_name"):
        told["name"] = str(options["task_name"])
    wrapper = registry.resolve(WRAPPER).using(
        queue_name=task.queue_name, priority=task.priority, backend=task.backend
    )
    return wrapper, [path, list(args), dict(kwargs), carried | told], {}


def _is_plain(task: Task[..., Any], args: Any, kwargs: Mapping[str, Any]) -> bool:
    backend = task.get_backend()
    if not isinstance(backend, DatabaseBackend):
        storing_backend(task.backend)  # which says what is wrong
        return True
    try:
        backend.encoder(task)(task, list(args), dict(kwargs))
    except InvalidPayload:
        return False
    return True
