"""A task that is run at once, where it is called."""

from typing import Any
from uuid import uuid4

from dbqueue.compat.celery import canvas
from dbqueue.compat.celery.exceptions import Ignore, Retry
from dbqueue.compat.celery.result import EagerResult
from dbqueue.compat.celery.run import trace
from dbqueue.compat.celery.run.request import Request, running


def request_of(task: Any, args: Any, kwargs: Any, chosen: dict[str, Any]) -> Request:
    """Return the request of a call with these options."""
    id = str(chosen.get("task_id") or uuid4())
    above = running.get()[-1].request if running.get() else None
    return Request(
        id=id,
        args=tuple(args or ()),
        kwargs=dict(kwargs or {}),
        task=task.name,
        is_eager=True,
        called_directly=False,
        delivery_info={"is_eager": True, "routing_key": chosen.get("queue")},
        headers=chosen.get("headers"),
        root_id=(above and above.root_id) or id,
        parent_id=above and above.id,
        callbacks=canvas.signatures(chosen.get("link")),
        errbacks=canvas.signatures(chosen.get("link_error")),
    )


def applied(task: Any, request: Request, *, throw: bool) -> EagerResult:
    """Run the task, its retries at once, and return the result.

    With `throw` it raises what the task raises, a Retry included.
    """
    while True:
        try:
            value = trace.traced(task, request)
        except Retry as again:
            if throw:  # as Celery does, and as tests expect
                raise
            request.retries += 1
            request.is_protected, request.coming, request.told = False, None, None
            if again.arguments is not None:
                request.args, request.kwargs = again.arguments
        except Ignore as error:
            return EagerResult(request.id, error, error.state, request=request)
        except Exception as error:
            trace.call_errbacks(request, error)
            if throw:
                raise
            return EagerResult(request.id, error, "FAILURE", request=request)
        else:
            trace.call_back(request, value)
            return EagerResult(request.id, value, "SUCCESS", request=request)
