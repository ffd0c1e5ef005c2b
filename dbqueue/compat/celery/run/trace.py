"""The call of a task with its hooks, its signals and its retries."""

import logging
import random
from typing import Any

from dbqueue.compat.celery import signals
from dbqueue.compat.celery.exceptions import Ignore, Retry
from dbqueue.compat.celery.run.request import ExceptionInfo, Request
from dbqueue.jobs import tracebacks

logger = logging.getLogger(__name__)


def traced(task: Any, request: Request) -> Any:
    """Call a task for a request, and return what it returned.

    Raises Retry, Ignore, and what the task raises.
    """
    about = {"task_id": request.id, "args": request.args, "kwargs": request.kwargs}
    state, value = "SUCCESS", None
    with task.in_request(request):
        signals.task_prerun.tell(task, task=task, **about)
        try:
            value = _ended(task, request)
        except Retry as raised:
            state, value = "RETRY", raised
            raise
        except Ignore:
            state = "IGNORED"
            raise
        except Exception as raised:
            state, value = "FAILURE", raised
            raise
        finally:
            signals.task_postrun.tell(
                task, task=task, retval=value, state=state, **about
            )
    return value


def _ended(task: Any, request: Request) -> Any:
    id, args, kwargs = request.id, request.args, request.kwargs
    try:
        value = _called(task, request)
    except Retry as raised:
        info = ExceptionInfo(raised)
        task.on_retry(raised.exc or raised, id, args, kwargs, info)
        signals.task_retry.tell(task, request=request, reason=raised, einfo=info)
        raise
    except Ignore:
        raise
    except Exception as raised:
        info = ExceptionInfo(raised)
        task.on_failure(raised, id, args, kwargs, info)
        signals.task_failure.tell(
            task,
            task_id=id,
            exception=raised,
            args=args,
            kwargs=kwargs,
            traceback=raised.__traceback__,
            einfo=info,
        )
        task.after_return("FAILURE", raised, id, args, kwargs, info)
        raise
    task.on_success(value, id, args, kwargs)
    signals.task_success.tell(task, result=value)
    task.after_return("SUCCESS", value, id, args, kwargs, None)
    return value


def _called(task: Any, request: Request) -> Any:
    """Call the function, and make of what it has said what it returns or raises."""
    try:
        task.before_start(request.id, request.args, request.kwargs)
        value = _autoretried(task, request)
    except Ignore:
        # "I have failed, and said why": a state, and then Ignore. As in Celery, the
        # result of a task that is run at once does not show it.
        state, meta = (not request.is_eager and request.told) or (None, None)
        if state == "SUCCESS":
            return meta
        if state == "FAILURE":
            raise _failure(meta) from None
        raise
    if request.coming is not None:
        raise request.coming
    return value


def _failure(meta: Any) -> Exception:
    if isinstance(meta, Exception):
        return meta
    words = meta.get("exc_message", meta) if isinstance(meta, dict) else meta
    return Exception("" if words is None else str(words))


def _autoretried(task: Any, request: Request) -> Any:
    try:
        return task(*request.args, **request.kwargs)
    except (Retry, Ignore):
        raise
    except Exception as error:
        never, wanted = tuple(task.dont_autoretry_for), tuple(task.autoretry_for)
        if isinstance(error, never) or not isinstance(error, wanted):
            raise
        how = dict(task.retry_kwargs)
        if task.retry_backoff:
            how["countdown"] = backoff(task, request.retries)
        raise task.retry(exc=error, **how) from error


def backoff(task: Any, retries: int) -> int:
    """Return the seconds before the next attempt, as Celery counts them."""
    factor = int(max(1.0, task.retry_backoff))  # True is 1
    seconds: int = min(task.retry_backoff_max, factor * 2**retries)
    return random.randrange(seconds + 1) if task.retry_jitter else seconds


def call_back(request: Request, value: Any) -> None:
    """Enqueue what is linked to the success of a task."""
    for callback in request.callbacks or ():
        callback.apply_async((value,))


def call_errbacks(request: Request, error: BaseException) -> None:
    """Call what is linked to the failure of a task: here, or by a job of its own.

    As in Celery, a task of several arguments is called here with the request, the
    exception and the traceback; one of a single argument is enqueued with the id.
    """
    tracebacks.fold(error)
    for errback in request.errbacks or ():
        try:
            if errback.type.takes_several():
                errback(request, error, error.__traceback__)
            elif request.is_eager:
                errback.apply((request.id,))
            else:
                errback.apply_async((request.id,))
        except Exception:
            logger.exception("link_error of task=%s raised", request.task)
