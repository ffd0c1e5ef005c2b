"""The job of an upload: which backend, which queue, which database."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from dbqueue.backend import DatabaseBackend, our_backends
from dbqueue.tasks import registry
from dbqueue.tasks.framework import DEFAULT_TASK_BACKEND_ALIAS, InvalidTaskBackend
from dbqueue.tasks.results import JobResult
from dbqueue.uploads.models import Upload

# By path: the pipeline is imported where it runs.
PROCESS = "dbqueue.uploads.tasks.process"
SWEEP = "dbqueue.uploads.tasks.sweep"
QUEUE = "uploads"


def backend() -> tuple[str, DatabaseBackend]:
    """Return the alias and the backend that uploads go through.

    It is TASKS["default"] if that is ours, else the first that is. Raises
    InvalidTaskBackend if none is.
    """
    ours = our_backends()
    for alias in (DEFAULT_TASK_BACKEND_ALIAS, *ours):
        if alias in ours:
            return alias, ours[alias]
    raise InvalidTaskBackend(
        "No entry of TASKS is a dbqueue backend, so uploads have nowhere to wait. "
        'Set TASKS = {"default": {"BACKEND": "dbqueue.backend.DatabaseBackend"}}.'
    )


def database() -> str:
    """Return the alias of the database that holds uploads and their jobs."""
    return backend()[1].database


def enqueue_processing(upload: Upload) -> JobResult:
    """Enqueue the job that brings the upload into its field."""
    alias, _ = backend()
    queue = upload.options.get("queue_name", QUEUE)
    priority = upload.options.get("priority")
    task = registry.resolve(PROCESS)
    task = task.using(backend=alias, queue_name=queue, priority=priority)
    result: Any = task.enqueue(str(upload.pk))
    return result  # type: ignore[no-any-return]  # a JobResult, by our own backend


def enqueue_again(upload: Upload, rows: QuerySet[Upload], **columns: Any) -> bool:
    """Give the upload another job if `rows` still has its row; tell if it did.

    `columns` are further ones to write.
    """
    with transaction.atomic(using=rows.db):
        job = enqueue_processing(upload)
        given = rows.update(job_id=job.id, **columns)
        transaction.set_rollback(not given, using=rows.db)
    return bool(given)
