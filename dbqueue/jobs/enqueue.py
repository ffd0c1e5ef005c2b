"""The public ways to write a job."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, overload

from dbqueue.tasks.framework import (
    AnyResult,
    AnyTask,
    GenericResult,
    GenericTask,
    InvalidTask,
)
from dbqueue.tasks.registry import as_task
from dbqueue.tasks.results import JobResult
from dbqueue.tasks.task import P, R, Task


@overload
def enqueue(task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> JobResult[R]: ...


@overload
def enqueue(
    task: GenericTask[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> GenericResult[P, R]: ...


@overload
def enqueue(
    task: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
) -> JobResult[R]: ...


@overload
def enqueue(
    task: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> JobResult[R]: ...


@overload
def enqueue(task: str, /, *args: Any, **kwargs: Any) -> JobResult: ...


def enqueue(
    task: AnyTask | Callable[..., Any] | str, /, *args: Any, **kwargs: Any
) -> AnyResult:
    """Write a job for the task, in the caller's transaction, and return its result.

    `task` is a task, the dotted path of one, or a module-level function of an installed
    app; the other arguments are JSON, or what its codec takes. Raises TaskNotFound,
    TaskNotAllowed, InvalidTask, WrongArguments, InvalidPayload, PayloadTooLarge,
    JobIdTaken, AtomicUnavailable and MigrationsNotApplied.
    """
    known = task if isinstance(task, Task) else as_task(task)
    # Not by way of the task's own method: a keyword argument may be called `self`.
    return known.get_backend().enqueue(known, list(args), kwargs)


@overload
async def aenqueue(
    task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> JobResult[R]: ...


@overload
async def aenqueue(
    task: GenericTask[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> GenericResult[P, R]: ...


@overload
async def aenqueue(
    task: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
) -> JobResult[R]: ...


@overload
async def aenqueue(
    task: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> JobResult[R]: ...


@overload
async def aenqueue(task: str, /, *args: Any, **kwargs: Any) -> JobResult: ...


async def aenqueue(
    task: AnyTask | Callable[..., Any] | str, /, *args: Any, **kwargs: Any
) -> AnyResult:
    """See enqueue()."""
    return await as_task(task).aenqueue(*args, **kwargs)


@overload
def enqueue_many(
    task: Task[..., R], calls: Iterable[Any], /
) -> Sequence[JobResult[R]]: ...


@overload
def enqueue_many(
    task: GenericTask[..., R] | Callable[..., R], calls: Iterable[Any], /
) -> Sequence[JobResult[R]]: ...


@overload
def enqueue_many(task: str, calls: Iterable[Any], /) -> Sequence[JobResult]: ...


def enqueue_many(
    task: AnyTask | Callable[..., Any] | str, calls: Iterable[Any], /
) -> Sequence[AnyResult]:
    """Write one job for each call, in one statement, and return their results in order.

    A call is a tuple or list of positional arguments, or a dict of keyword arguments.
    Raises what enqueue() raises; then no job is written.
    """
    known = as_task(task)
    backend = known.get_backend()
    if not hasattr(backend, "enqueue_many"):
        raise InvalidTask(
            f"Task {known.module_path!r} is on backend {known.backend!r}, "
            f"whose {type(backend).__name__} cannot enqueue many at once."
        )
    results: Sequence[AnyResult] = backend.enqueue_many(known, calls)
    return results
