"""The jobs of uploads: bring one to its field, and sweep up what is over."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from dbqueue.tasks.decorator import task
from dbqueue.tasks.results import JobContext
from dbqueue.uploads import endings, work
from dbqueue.uploads.exceptions import ContentRejected, UploadDamaged
from dbqueue.uploads.models import Upload, UploadState
from dbqueue.uploads.processing.outputs import outputs_of
from dbqueue.uploads.processing.promotion import promote
from dbqueue.uploads.processing.storing import Stored, store, stored_before
from dbqueue.uploads.sweep import cleanup
from dbqueue.uploads.targets import Target, target_of_upload

# Seconds after each failure: a storage that is away may be so for a day.
PATIENCE = (15.0, 60.0, 300.0, 1800.0, 7200.0, 21_600.0, 43_200.0)


@task(
    queue_name=work.QUEUE,
    takes_context=True,
    max_attempts=len(PATIENCE) + 1,
    backoff=PATIENCE,
    give_up_on=UploadDamaged,
)
def process(context: JobContext, upload_id: str) -> dict[str, str]:
    """Bring an upload into its field; the job's result tells its state."""
    database = work.database()
    upload = Upload.objects.using(database).filter(pk=UUID(upload_id)).first()
    if upload is None or str(upload.job_id) != context.task_result.id:
        return {"state": "GONE"}
    if upload.state != UploadState.STORED:
        return {"state": upload.state}
    try:
        state = _Processing(context, upload).run()
    except ContentRejected as error:
        state = UploadState.REJECTED
        with context.finishing({"state": state, "code": error.code}):
            endings.end(upload, state, code=error.code, message=error.message)
    except Exception as error:
        if context.is_last_attempt or isinstance(error, UploadDamaged):
            endings.end(upload, UploadState.FAILED, code="failed", message=FAILED)
        raise
    return {"state": state}


@task(queue_name=work.QUEUE, max_attempts=1)
def sweep() -> dict[str, int]:
    """Delete expired uploads; re-enqueue those whose job was lost."""
    return cleanup.Sweep(work.database()).run()


FAILED = "The file could not be saved. It is kept; we will look into it."


class _Processing:
    """One attempt to bring one upload into its field."""

    def __init__(self, context: JobContext, upload: Upload) -> None:
        self._context = context
        self._upload = upload
        # The fence's number: `context.attempt` leaves out what was merely claimed.
        result: Any = context.task_result
        self._run = f"{UUID(result.id).hex[-12:]}-{result.attempt}"

    def run(self) -> UploadState:
        target = target_of_upload(self._upload)
        instance = target.instance()
        if instance is None:
            return self._finish_superseded()
        with TemporaryDirectory(prefix="dbqueue-") as folder:
            self._context.set_progress(10, 100, "reading")
            outputs = outputs_of(self._upload, Path(folder), self._tell)
            self._tell(70, "storing")
            before = stored_before(self._upload, target, outputs)
            if before is None:
                new = store(self._upload, target, instance, outputs, self._run)
                before = new, self._run
        self._tell(90, "promoting")
        return self._finish(target, *before)

    def _tell(self, percent: int, stage: str) -> None:
        self._context.set_progress(percent, 100, stage)

    def _finish(self, target: Target, stored: Stored, run: str) -> UploadState:
        result: dict[str, Any] = {}
        with self._context.finishing(result):
            state = promote(self._upload, target, stored, run)
            result["state"] = state
        return state

    def _finish_superseded(self) -> UploadState:
        with self._context.finishing({"state": UploadState.SUPERSEDED}):
            endings.end(self._upload, UploadState.SUPERSEDED)
        return UploadState.SUPERSEDED
