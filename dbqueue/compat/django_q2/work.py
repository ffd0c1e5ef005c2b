"""The job of a call that a plain job cannot be: with a hook, or of types JSON lacks."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.utils.module_loading import import_string

from dbqueue import task
from dbqueue.compat.django_q2.results import Task, of_attempt
from dbqueue.exceptions import Cancel, DbqueueError, Retry
from dbqueue.tasks import registry
from dbqueue.tasks.context import JobContext

logger = logging.getLogger(__name__)


class Acknowledged(DbqueueError):
    """A task failed whose failures are acknowledged: it is not run again."""


@task(codec="typed", takes_context=True, give_up_on=(Acknowledged,))
def call(
    context: JobContext,
    path: str,
    args: list[Any],
    kwargs: dict[str, Any],
    how: dict[str, Any],
) -> Any:
    """Call the function at a path, and then its hook, whether it succeeds or not."""
    if (name := how.get("intended_date_kwarg")) and context.schedule is not None:
        kwargs = kwargs | {name: context.schedule.scheduled_for.isoformat()}
    told = partial(of_attempt, context, path, args, kwargs, how)
    try:
        value = _called(context, path, args, kwargs)
    except (Retry, Cancel):
        raise
    except Exception as error:
        _run_hook(how, told(error, success=False))
        if how.get("ack_failure"):
            raise Acknowledged(f"{type(error).__name__}: {error}") from error
        raise
    _run_hook(how, told(value, success=True))
    return value


def _called(
    context: JobContext, path: str, args: list[Any], kwargs: dict[str, Any]
) -> Any:
    # By the registry: a row must not be able to name whatever there is.
    found = registry.resolve(path)
    given = [context, *args] if found.takes_context else args
    function: Any = async_to_sync(found.func) if found.is_async else found.func
    return function(*given, **kwargs)


def _run_hook(how: Mapping[str, Any], told: Task) -> None:
    path = how.get("hook")
    if not path:
        return
    try:
        import_string(path)(told)
    except Exception:  # as in django-q2, it disturbs nothing
        logger.exception("Hook failed hook=%s task=%s", path, told.func)
