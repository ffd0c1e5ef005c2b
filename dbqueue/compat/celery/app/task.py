"""Task: what Celery's tasks have, run as a job of dbqueue."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from importlib import import_module
from inspect import Parameter
from typing import Any

from django.utils import timezone

from dbqueue.compat.celery import canvas
from dbqueue.compat.celery.conf import options, source
from dbqueue.compat.celery.exceptions import MaxRetriesExceededError, Retry
from dbqueue.compat.celery.result import AsyncResult, EagerResult
from dbqueue.compat.celery.run import eager, jobs
from dbqueue.compat.celery.run.arguments import plain
from dbqueue.compat.celery.run.request import Hooks, Request, running
from dbqueue.tasks import typed

_EITHER = Parameter.POSITIONAL_OR_KEYWORD


class Task(Hooks):
    """The base of tasks, for `base=`, with hooks that do nothing."""

    # Options, as of options.OF_TASKS; those of a project's own class come before them.
    name: Any = None
    bind: bool = False
    abstract: bool = True
    expires: Any = None
    queue: str | None = None
    priority: int | None = None
    max_retries: int | None = 3
    default_retry_delay: float = 180
    autoretry_for: tuple[type[Exception], ...] = ()
    dont_autoretry_for: tuple[type[Exception], ...] = ()
    retry_kwargs: dict[str, Any] = {}
    retry_backoff: bool | int = False
    retry_backoff_max: int = 600
    retry_jitter: bool = True
    throws: tuple[type[Exception], ...] = ()
    typing: bool = True
    ignore_result: bool | None = None
    track_started: bool = False
    time_limit: float | None = None
    soft_time_limit: float | None = None
    rate_limit: str | float | None = None

    MaxRetriesExceededError = MaxRetriesExceededError
    # The path by which a worker finds it, and the dbqueue task, once it is declared.
    path: str = ""
    job: Any = None
    signature_of_run: Any = None

    def __new__(cls, *args: Any, **kwargs: Any) -> "Task":
        # A class of a project's own has an __init__() of its own.
        made = super().__new__(cls)
        made._requests = ContextVar("requests", default=())
        return made

    _requests: ContextVar[tuple[Request, ...]]

    def __repr__(self) -> str:
        return f"<@task: {self.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now, as Celery does."""
        request = self.request
        if not request.called_directly and not request.is_protected:
            request.is_protected = True  # from a __call__() of a project's own
            return self.run(*args, **kwargs)
        with self.in_request(Request(args=args, kwargs=kwargs, task=self.name)):
            return self.run(*args, **kwargs)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work; a class of a project's own says how."""
        raise NotImplementedError("Tasks must define the run method.")

    @property
    def app(self) -> Any:
        return import_module("dbqueue.compat.celery.app.base").current_app

    @property
    def request(self) -> Request:
        stack = self._requests.get()
        return stack[-1] if stack else Request()

    @contextmanager
    def in_request(self, request: Request) -> Iterator[None]:
        """Have it be the request of what runs in the block."""
        mine = self._requests.set((*self._requests.get(), request))
        all_of = running.set((*running.get(), self))
        try:
            yield
        finally:
            running.reset(all_of)
            self._requests.reset(mine)

    def push_request(self, *args: Any, **fields: Any) -> None:
        """Have a request of the caller's own, as for a test."""
        self._requests.set((*self._requests.get(), Request(*args, **fields)))

    def pop_request(self) -> None:
        self._requests.set(self._requests.get()[:-1])

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue the task, in the transaction that is open."""
        return self.apply_async(args, kwargs)

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> Any:
        """See delay(), which commits with the transaction, and so returns an id."""
        return self.delay(*args, **kwargs)

    def apply_async_on_commit(self, *args: Any, **kwargs: Any) -> Any:
        """See apply_async()."""
        return self.apply_async(*args, **kwargs)

    def apply_async(
        self, args: Any = None, kwargs: Any = None, **given: Any
    ) -> AsyncResult:
        """Enqueue the task. Raises TypeError for arguments that do not fit."""
        chosen = options.of_call(given, f"{self.name}.apply_async()")
        args, kwargs = plain(list(args or ())), plain(dict(kwargs or {}))
        self.check_arguments(args, kwargs)
        if source.value("task_always_eager"):
            # As a worker would get them, and refused as there.
            args, kwargs = typed.normalize(args, kwargs)
            return self.apply(args, kwargs, **chosen)
        return jobs.send(self, args, kwargs, chosen)

    def apply(
        self,
        args: Any = None,
        kwargs: Any = None,
        throw: bool | None = None,
        retries: int = 0,
        **given: Any,
    ) -> EagerResult:
        """Run the task here, retries included, and return its result."""
        chosen = options.of_call(given, f"{self.name}.apply()")
        if throw is None:
            throw = bool(source.value("task_eager_propagates"))
        request = eager.request_of(self, args, kwargs, chosen)
        request.retries = retries
        return eager.applied(self, request, throw=throw)

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
        """Run the task again later. Raises Retry; at the limit, `exc` or an error.

        With throw=False the task goes on, and is run again once it has returned.
        """
        request = self.request
        options.of_retry(given, f"{self.name}.retry()")
        if request.called_directly:
            raise exc or Retry("Task can be retried")
        most = self.max_retries if max_retries is None else max_retries
        if most is not None and request.retries >= most:
            raise exc or MaxRetriesExceededError(
                f"Can't retry {self.name}[{request.id}] args:{request.args} "
                f"kwargs:{request.kwargs}",
                task_args=request.args,
                task_kwargs=request.kwargs,
            )
        if eta is not None:
            countdown = max(0.0, (eta - timezone.now()).total_seconds())
        delay = self.default_retry_delay if countdown is None else countdown
        again = Retry(exc=exc, when=delay)
        if args is not None or kwargs is not None:
            args = request.args if args is None else args
            kwargs = request.kwargs if kwargs is None else kwargs
            again.arguments = tuple(plain(list(args))), plain(dict(kwargs))
        if throw:
            raise again
        request.coming = again
        return again

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None
    ) -> None:
        """Say what AsyncResult shows of the task from now on: a state, and its meta.

        `current`, `total` and `status` of the meta are the progress, too. Raises
        NotImplementedError for the state of another task.
        """
        request = self.request
        if task_id is not None and str(task_id) != request.id:
            raise NotImplementedError(
                f"update_state({task_id!r}): a task says its own state only."
            )
        request.told = state, meta
        if request.context is not None:
            jobs.tell(request.context, state, meta)

    def AsyncResult(self, task_id: Any, **ignored: Any) -> AsyncResult:
        """Return the result of a task by its id."""
        return AsyncResult(task_id)

    def s(self, *args: Any, **kwargs: Any) -> canvas.Signature:
        """Return the call as a signature, for link= and the like."""
        return canvas.Signature(self, args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> canvas.Signature:
        """Return the call as a signature that takes no more arguments."""
        return canvas.Signature(self, args, kwargs, immutable=True)

    def signature(self, *args: Any, **options: Any) -> canvas.Signature:
        return canvas.Signature(self, *args, **options)

    subtask = signature

    def run_job(self, context: Any, args: Any, kwargs: Any) -> Any:
        """Run as a job; what it returns is kept unless it is ignored."""
        return jobs.run(self, context, args, kwargs)

    def check_arguments(self, args: Any, kwargs: Any) -> None:
        """Raise TypeError for arguments that the function does not take."""
        if self.typing:
            self.signature_of_run.bind(*args, **kwargs)

    def takes_several(self) -> bool:
        """Tell whether its function takes the three arguments of an errback."""
        found = self.signature_of_run.parameters.values()
        several = [p for p in found if p.kind in (p.POSITIONAL_ONLY, _EITHER)]
        any_number = any(p.kind is p.VAR_POSITIONAL for p in found)
        return not self.bind and (len(several) > 1 or any_number)

    map = starmap = chunks = replace = staticmethod(canvas.xmap)
