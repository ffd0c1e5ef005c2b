"""The job that deletes files whose time is over."""

import time

from dbqueue.backend import backend_of
from dbqueue.progress.files import remove
from dbqueue.progress.models import FileState, JobFile
from dbqueue.tasks.context import JobContext
from dbqueue.tasks.decorator import task

BATCH = 200
PATIENCE = 30.0  # seconds after which nothing new is begun


@task(max_attempts=1, takes_context=True)
def prune(context: JobContext) -> int:
    """Delete the files that are due, and what is remembered of those that are gone.

    Return how many were deleted from their storages.
    """
    return prune_files(backend_of(context.task_result.backend).database)


def prune_files(database: str) -> int:
    """See prune(); of one database, for half a minute at most."""
    rows = JobFile.objects.using(database)
    deadline, deleted = time.monotonic() + PATIENCE, 0
    while time.monotonic() < deadline and (batch := list(rows.due()[:BATCH])):
        gone = [file.pk for file in batch if file.state == FileState.GONE]
        rows.filter(pk__in=gone, state=FileState.GONE).delete()
        for file in batch:
            if file.state != FileState.GONE and time.monotonic() < deadline:
                deleted += remove(file)
    return deleted
