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
    options = upload.options
    task = registry.resolve(PROCESS).using(
        backend=alias,
        queue_name=options.get("queue_name", QUEUE),
        priority=options.get("priority"),
    )
    result: Any = task.enqueue(str(upload.pk))
    return result  # type: ignore[no-any-return]  # a JobResult, by our own backend


def enqueue_again(upload: Upload, rows: QuerySet[Upload], **columns: Any) -> bool:
    """Give the upload another job if its row is still among the rows; tell if it was.

    `columns` are further ones to write.
    """
    database = rows.db
    with transaction.atomic(using=database):
        job = enqueue_processing(upload)
        given = rows.filter(pk=upload.pk).update(job_id=job.id, **columns)
        transaction.set_rollback(not given, using=database)
    return bool(given)
