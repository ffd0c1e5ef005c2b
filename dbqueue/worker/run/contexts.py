"""The contexts in which jobs run: each has its own, a copy of its thread's."""

import contextvars
import logging

from django.core.cache import caches

from dbqueue.tasks.framework import task_backends

logger = logging.getLogger(__name__)


def base() -> contextvars.Context:
    """Return a context of which each job of this thread gets a copy.

    Django keeps the backends of caches and of tasks in the context, and they keep the
    connections: made here, all jobs of the thread share them. What a job sets, it sets
    in its copy.
    """
    context = contextvars.Context()
    context.run(_make_backends)
    return context


def _make_backends() -> None:
    for handler in (caches, task_backends):
        for alias in handler:
            try:
                handler[alias]
            except Exception as error:  # a stranger's class; its users will be told
                logger.debug("No backend %r for jobs: %s", alias, error)
