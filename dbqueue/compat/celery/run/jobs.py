"""A task that is a job: how it is enqueued, run, and what its row is told."""

from contextlib import nullcontext
from datetime import timedelta
from typing import Any
from uuid import uuid4

from dbqueue.compat.celery import canvas, signals
from dbqueue.compat.celery.conf import routes, source
from dbqueue.compat.celery.exceptions import Ignore, Retry
from dbqueue.compat.celery.result import AsyncResult
from dbqueue.compat.celery.run import carried, trace
from dbqueue.compat.celery.run.arguments import plain
from dbqueue.compat.celery.run.request import Request, retries, running


def send(task: Any, args: Any, kwargs: Any, chosen: dict[str, Any]) -> AsyncResult:
    """Enqueue a call of a task, with the options that have an effect."""
    chosen = routes.routed(task, args, kwargs, chosen)
    id = chosen.get("task_id")
    published = _publishing(task, args, kwargs, chosen)
    if published:
        id = published["headers"]["id"]
    parcel = _parcel(chosen, id)
    with carried.bound(parcel) if parcel else nullcontext():
        result = _job_for(task, chosen, id).enqueue(*args, **kwargs)
    if published:
        signals.after_task_publish.tell(task.name, **published)
    return AsyncResult(id or result.id)


def _publishing(
    task: Any, args: Any, kwargs: Any, chosen: dict[str, Any]
) -> dict[str, Any]:
    """Tell that a call is sent, if somebody listens; return what they were told.

    What they add to the headers goes along.
    """
    heard = (signals.before_task_publish, signals.after_task_publish)
    if not any(signal.receivers for signal in heard):
        return {}
    id = str(chosen.get("task_id") or uuid4())
    own = {"id": id, "task": task.name, "retries": 0, "eta": chosen.get("eta")}
    told = {
        "body": (args, kwargs, {}),
        "headers": {**own, **(chosen.get("headers") or {})},
        "exchange": "",
        "routing_key": chosen.get("queue") or task.job.queue_name,
    }
    signals.before_task_publish.tell(
        task.name, **told, properties={}, declare=[], retry_policy={}
    )
    headers = {n: v for n, v in told["headers"].items() if n not in own}
    chosen["headers"] = headers
    return told


def _parcel(chosen: dict[str, Any], id: Any) -> dict[str, Any]:
    """Return what travels with the job."""
    given = {
        "headers": chosen.get("headers"),
        "link": _packed(chosen.get("link")),
        "link_error": _packed(chosen.get("link_error")),
        "ignore_result": chosen.get("ignore_result"),
    }
    if id is not None and str(carried.job_id(id)) != str(id):
        given["id"] = str(id)
    if stack := running.get():
        above = stack[-1].request
        given |= {"parent": above.id, "root": above.root_id}
    return {name: plain(value) for name, value in given.items() if value}


def _packed(given: Any) -> list[dict[str, Any]]:
    return [dict(item) for item in canvas.signatures(given)]


def _job_for(task: Any, chosen: dict[str, Any], id: Any) -> Any:
    """Return the dbqueue task with the options of one call."""
    run_after: Any = chosen.get("eta")
    if chosen.get("countdown"):
        run_after = timedelta(seconds=chosen["countdown"])
    return task.job.using(
        run_after=run_after,
        expires=chosen.get("expires", task.expires),
        queue_name=chosen.get("queue"),
        priority=chosen.get("priority"),
        job_id=None if id is None else carried.job_id(id),
    )


def run(task: Any, context: Any, args: Any, kwargs: Any) -> Any:
    """Run a job of the task; return what is to be kept of what it returned."""
    parcel = carried.found()
    request = _request(task, context, list(args), kwargs, parcel)
    try:
        value = trace.traced(task, request)
    except Retry as again:
        if again.arguments is not None:
            args, kwargs = again.arguments
            context.replace_arguments(*args, **kwargs)
        raise
    except Ignore:
        raise
    except Exception as error:
        trace.call_errbacks(request, error)
        raise
    kept = None if request.ignore_result else plain(value)
    if request.callbacks:
        # They are enqueued by the commit that ends the job, or not at all.
        with context.finishing(kept):
            trace.call_back(request, value)
    return kept


def _request(
    task: Any, context: Any, args: Any, kwargs: Any, parcel: dict[str, Any]
) -> Request:
    result = context.task_result
    id = parcel.get("id") or result.id
    ignored = parcel.get("ignore_result")
    if ignored is None:
        ignored = task.ignore_result
    if ignored is None:
        ignored = source.value("task_ignore_result")
    return Request(
        id=id,
        args=args,
        kwargs=kwargs,
        task=task.name,
        retries=retries(context),
        called_directly=False,
        delivery_info={
            "routing_key": result.task.queue_name,
            "exchange": "",
            "priority": result.task.priority,
            "redelivered": context.attempt > 1,
        },
        headers=parcel.get("headers"),
        hostname=result.worker_ids[-1] if result.worker_ids else None,
        eta=result.task.run_after,
        timelimit=(task.time_limit, task.soft_time_limit),
        root_id=parcel.get("root") or id,
        parent_id=parcel.get("parent"),
        callbacks=canvas.signatures(parcel.get("link")),
        errbacks=canvas.signatures(parcel.get("link_error")),
        ignore_result=bool(ignored),
        context=context,
    )


def tell(context: Any, state: str | None, meta: Any) -> None:
    """Write what update_state() says; numbers of it are the progress, too."""
    found = meta if isinstance(meta, dict) else {}
    value, total = found.get("current", 0), found.get("total")
    if not all(_is_number(item) for item in (value, total or 0)):
        value, total = 0, None
    words = str(found.get("status", ""))
    details = carried.told(state, plain(meta))
    context.set_progress(value, total, words, details=details)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
