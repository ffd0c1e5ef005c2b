"""Task: a function with what Celery's tasks have, run as a job of dbqueue."""

import random
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import update_wrapper
from inspect import signature
from typing import Any
from uuid import uuid4

from django.utils import timezone

from dbqueue.compat.celery import conf, options, refused
from dbqueue.compat.celery.exceptions import Ignore, MaxRetriesExceededError, Retry
from dbqueue.compat.celery.request import Hooks, Request, retries
from dbqueue.compat.celery.result import AsyncResult, EagerResult


class Task(Hooks):
    """The base of tasks, for `base=`, with hooks that do nothing."""

    # Options, of which those of a project's own class come before the defaults.
    name: str
    bind: bool
    expires: Any
    queue: str | None
    priority: int | None
    max_retries: int | None
    default_retry_delay: float
    autoretry_for: tuple[type[Exception], ...]
    dont_autoretry_for: tuple[type[Exception], ...]
    retry_kwargs: dict[str, Any]
    retry_backoff: bool | int
    retry_backoff_max: int
    retry_jitter: bool
    typing: bool
    ignore_result: bool
    time_limit: float | None
    soft_time_limit: float | None

    def __init__(self, function: Callable[..., Any], given: dict[str, Any]) -> None:
        self._function = function
        own = {n: getattr(type(self), n, d) for n, d in options.OF_TASKS.items()}
        for option, value in {**own, **given}.items():
            setattr(self, option, value)
        self.name = given.get("name") or f"{function.__module__}.{function.__name__}"
        self._requests: ContextVar[Request] = ContextVar(f"request of {self.name}")
        self._signature = signature(function)
        update_wrapper(self, function)
        self.job: Any = None  # the dbqueue task, once it is declared

    def __repr__(self) -> str:
        return f"<@task: {self.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now, as Celery does."""
        token = self._requests.set(Request(args=args, kwargs=kwargs))
        try:
            return self._bound(*args, **kwargs)
        finally:
            self._requests.reset(token)

    @property
    def run(self) -> Callable[..., Any]:
        """The function, with `self` if it is bound."""
        return self._bound

    @property
    def request(self) -> Request:
        return self._requests.get(Request())

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue the task, in the transaction that is open."""
        return self.apply_async(args, kwargs)

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> Any:
        """See delay(), which commits with the transaction, and so returns an id."""
        return self.delay(*args, **kwargs)

    def apply_async(
        self, args: Any = None, kwargs: Any = None, **given: Any
    ) -> AsyncResult | EagerResult:
        """Enqueue the task. Raises TypeError for arguments that do not fit."""
        chosen = options.check(given, options.OF_CALLS, f"{self.name}.apply_async()")
        args, kwargs = tuple(args or ()), dict(kwargs or {})
        if self.typing:
            own = [self] if self.bind else []
            self._signature.bind(*own, *args, **kwargs)
        if conf.flag("task_always_eager"):
            return self.apply(args, kwargs, task_id=chosen.get("task_id"))
        result = self._job_for(chosen).enqueue(*args, **kwargs)
        return AsyncResult(result.id)

    apply_async_on_commit = apply_async

    def apply(
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        throw: bool | None = None,
        retries: int = 0,
        **given: Any,
    ) -> EagerResult:
        """Run the task here, retries included, and return its result."""
        options.check(given, options.OF_CALLS, f"{self.name}.apply()")
        args, kwargs = tuple(args or ()), dict(kwargs or {})
        id = str(task_id or uuid4())
        while True:
            request = Request(
                id=id,
                args=args,
                kwargs=kwargs,
                retries=retries,
                is_eager=True,
                called_directly=False,
            )
            try:
                value = self._guarded(request, args, kwargs)
            except Retry:
                retries += 1
            except Ignore:
                return EagerResult(id, None, "REVOKED")
            except Exception as error:
                if conf.flag("task_eager_propagates") if throw is None else throw:
                    raise
                return EagerResult(id, error, "FAILURE")
            else:
                return EagerResult(id, value, "SUCCESS")

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **given: Any,
    ) -> Retry:
        """Run the task again later. Raises Retry; at the limit, `exc` or an error."""
        request = self.request
        options.check(given, options.OF_CALLS, f"{self.name}.retry()")
        if request.called_directly:
            raise exc or RuntimeError(f"{self.name} was called directly: no retry.")
        if args is not None or kwargs is not None or not throw:
            raise NotImplementedError(
                "retry() with other arguments, or throw=False, is not supported by "
                "dbqueue.compat.celery yet. Call apply_async() with them, and return."
            )
        most = self.max_retries if max_retries is None else max_retries
        if most is not None and request.retries >= most:
            raise exc or MaxRetriesExceededError(
                f"{self.name} [{request.id}] was retried {most} times."
            )
        raise Retry(exc=exc, when=self._wait(eta, countdown))

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None
    ) -> None:
        """Report progress: `current` and `total` of `meta`, and its `status`."""
        found, context = meta or {}, self.request.context
        if context is not None and "current" in found:
            words = str(found.get("status", ""))
            context.set_progress(found["current"], found.get("total"), words)

    AsyncResult = AsyncResult

    s = si = staticmethod(refused.signature)

    def run_job(self, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Run as a job; what it returns is kept unless it is ignored."""
        result = context.task_result
        request = Request(
            id=result.id,
            args=args,
            kwargs=kwargs,
            retries=retries(context),
            called_directly=False,
            delivery_info={"routing_key": result.task.queue_name},
            hostname=result.worker_ids[-1] if result.worker_ids else None,
            context=context,
        )
        value = self._guarded(request, args, kwargs)
        return None if self.ignore_result else value

    def _guarded(self, request: Request, args: Any, kwargs: Any) -> Any:
        """Call the function with its hooks, and retry what is to be retried."""
        id, status = request.id, "SUCCESS"
        value: Any = None
        error: BaseException | None = None
        token = self._requests.set(request)
        try:
            self.before_start(id, args, kwargs)
            value = self._autoretried(request, args, kwargs)
            self.on_success(value, id, args, kwargs)
        except Retry as raised:
            status, value, error = "RETRY", raised.exc, raised
            self.on_retry(raised.exc or raised, id, args, kwargs, raised)
            raise
        except Ignore:
            status = "IGNORED"
            raise
        except Exception as raised:
            status, value, error = "FAILURE", raised, raised
            self.on_failure(raised, id, args, kwargs, raised)
            raise
        finally:
            if status != "IGNORED":
                self.after_return(status, value, id, args, kwargs, error)
            self._requests.reset(token)
        return value

    def _autoretried(self, request: Request, args: Any, kwargs: Any) -> Any:
        try:
            return self._bound(*args, **kwargs)
        except (Retry, Ignore):
            raise
        except Exception as error:
            never, wanted = tuple(self.dont_autoretry_for), tuple(self.autoretry_for)
            if isinstance(error, never) or not isinstance(error, wanted):
                raise
            how = {"countdown": self._backoff(request.retries), **self.retry_kwargs}
            raise self.retry(exc=error, **how) from error

    def _backoff(self, retries: int) -> float | None:
        """Return the seconds before the next attempt, as Celery counts them."""
        if not self.retry_backoff:
            return None
        factor = int(self.retry_backoff)  # True is 1
        seconds = min(self.retry_backoff_max, factor * 2**retries)
        return random.randrange(seconds + 1) if self.retry_jitter else seconds

    def _bound(self, *args: Any, **kwargs: Any) -> Any:
        if self.bind:
            return self._function(self, *args, **kwargs)
        return self._function(*args, **kwargs)

    def _wait(self, eta: datetime | None, countdown: float | None) -> float:
        if eta is not None:
            return max(0.0, (eta - timezone.now()).total_seconds())
        delay: float = self.default_retry_delay
        return delay if countdown is None else countdown

    def _job_for(self, chosen: dict[str, Any]) -> Any:
        """Return the dbqueue task with the options of one call."""
        run_after: Any = chosen.get("eta")
        if chosen.get("countdown"):
            run_after = timedelta(seconds=chosen["countdown"])
        expires = chosen.get("expires", self.expires)
        return self.job.using(
            run_after=run_after,
            expires=expires,
            queue_name=chosen.get("queue"),
            priority=chosen.get("priority"),
            job_id=chosen.get("task_id"),
        )
