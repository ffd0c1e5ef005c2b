"""One attempt to bring an upload into its field, in a job or where it was saved."""

import logging
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from django.db import transaction

from dbqueue.ids import uuid7
from dbqueue.uploads import endings, work
from dbqueue.uploads.exceptions import ContentRejected
from dbqueue.uploads.models import Upload, UploadState
from dbqueue.uploads.processing.outputs import outputs_of
from dbqueue.uploads.processing.promotion import promote
from dbqueue.uploads.processing.storing import Storing, stored_before
from dbqueue.uploads.targets import target_of_upload

logger = logging.getLogger(__name__)


class Surroundings(Protocol):
    """What an attempt tells of itself, and the transaction that ends it."""

    def set_progress(self, value: float, total: float, message: str) -> Any: ...

    def finishing(self, result: Any) -> AbstractContextManager[Any]: ...


def bring(around: Surroundings, upload: Upload, run: str) -> UploadState:
    """Make one attempt to bring one upload into its field; `run` names the attempt."""

    def tell(percent: int, stage: str) -> None:
        around.set_progress(percent, 100, stage)

    target = target_of_upload(upload)
    instance = target.instance()
    if instance is None:
        with around.finishing({"state": UploadState.SUPERSEDED}):
            endings.end(upload, UploadState.SUPERSEDED)
        return UploadState.SUPERSEDED
    with TemporaryDirectory(prefix="dbqueue-") as folder:
        tell(10, "reading")
        outputs = outputs_of(upload, Path(folder), tell)
        tell(70, "storing")
        before = stored_before(upload, target, outputs)
        if before is None:
            storing = Storing(upload, target.field, instance, run)
            before = storing.store(outputs), run
    tell(90, "promoting")
    answer: dict[str, Any] = {}
    with around.finishing(answer):
        answer["state"] = state = promote(upload, target, *before)
    return state


def reject(around: Surroundings, upload: Upload, error: ContentRejected) -> UploadState:
    """End an upload whose content is not what its policy allows."""
    state = UploadState.REJECTED
    with around.finishing({"state": state, "code": error.code}):
        endings.end(upload, state, code=error.code, message=error.message)
    return state


def bring_now(upload: Upload) -> None:
    """Bring an upload that has no job into its field; if that fails, enqueue one.

    Should the process die, the sweep enqueues it.
    """
    here = _Here(upload.held_in)
    try:
        bring(here, upload, f"{uuid7().hex[-12:]}-0")
    except ContentRejected as error:
        reject(here, upload, error)
    except Exception:  # of any storage: what a job does is to try again
        logger.exception("Upload id=%s goes to the queue", upload.pk)
        waiting = upload.rows().filter(state=UploadState.STORED, job_id=None)
        work.enqueue_again(upload, waiting)


class _Here:
    """Stands where there is no job: progress is told to nobody."""

    def __init__(self, database: str) -> None:
        self._database = database

    def set_progress(self, value: float, total: float, message: str) -> None:
        pass

    def finishing(self, result: Any) -> AbstractContextManager[Any]:
        return transaction.atomic(using=self._database)
