"""The jobs of uploads: bring one to its field, and sweep up expired ones."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from dbqueue.exceptions import Cancel
from dbqueue.tasks.context import JobContext
from dbqueue.tasks.decorator import task
from dbqueue.uploads import conf, endings, work
from dbqueue.uploads.exceptions import (
    ContentRejected,
    UploadDamaged,
    UploadNotStorable,
)
from dbqueue.uploads.models import REOPENED, Upload, UploadState
from dbqueue.uploads.processing.bringing import bring, reject
from dbqueue.uploads.sweep import cleanup

# Seconds after each failure: a storage may be unreachable for a day.
PATIENCE = (15.0, 60.0, 300.0, 1800.0, 7200.0, 21_600.0, 43_200.0)
GIVE_UP_ON = (UploadDamaged, UploadNotStorable)
FAILED = "The file could not be saved. It is kept; we will look into it."


@task(
    queue_name=work.QUEUE,
    takes_context=True,
    max_attempts=len(PATIENCE) + 1,
    backoff=PATIENCE,
    timeout=conf.current().timeout,
    give_up_on=GIVE_UP_ON,
)
def process(context: JobContext, upload_id: str) -> dict[str, str]:
    """Bring an upload into its field; the job's result tells its state."""
    database = work.database()
    upload = Upload.objects.using(database).filter(pk=UUID(upload_id)).first()
    if upload is None or str(upload.job_id) != context.task_result.id:
        return {"state": "GONE"}
    if upload.state == UploadState.FAILED and _reopened(upload):
        upload.refresh_from_db()
    if upload.state != UploadState.STORED:
        return {"state": upload.state}
    try:
        # The fence's number: `context.attempt` leaves out what was merely claimed.
        result: Any = context.task_result
        state = bring(context, upload, f"{UUID(result.id).hex[-12:]}-{result.attempt}")
    except ContentRejected as error:
        state = reject(context, upload, error)
    except Exception as error:
        if isinstance(error, Cancel):
            endings.fail(upload, "its job was cancelled")
        elif context.is_last_attempt or isinstance(error, GIVE_UP_ON):
            endings.end(upload, UploadState.FAILED, code="failed", message=FAILED)
        raise
    return {"state": state}


@task(queue_name=work.QUEUE, max_attempts=1)
def sweep() -> dict[str, int]:
    """Delete expired uploads; re-enqueue those whose job was lost."""
    return cleanup.Sweep(work.database()).run()


def _reopened(upload: Upload) -> bool:
    """Have a failed upload tried again whose job was; false if a newer one waits."""
    try:
        with transaction.atomic(using=upload.held_in):
            failed = upload.rows().filter(state=UploadState.FAILED)
            return bool(failed.update(**REOPENED))
    except IntegrityError:
        return False
