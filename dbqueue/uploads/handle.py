"""UploadHandle: what is known of an upload, and what can still be done about it."""

import time
from typing import Any, NamedTuple
from uuid import UUID

from django.db import IntegrityError, connections

from dbqueue.models import Job, JobState
from dbqueue.uploads import endings, work
from dbqueue.uploads.exceptions import UploadError, UploadPending
from dbqueue.uploads.models import ENDED, REOPENED, Upload, UploadState

PROCESSING = "PROCESSING"
_SHORTEST, _LONGEST = 0.02, 0.5  # seconds between two queries of wait()


class UploadProblem(NamedTuple):
    """Why an upload was rejected or failed: for programs, and for people."""

    code: str
    message: str


class UploadHandle:
    """An upload, as it was when the handle was made or refreshed last."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._job: Job | None = None

    @property
    def id(self) -> UUID:
        return self._upload.pk

    @property
    def database(self) -> str:
        """The alias of the database that holds the upload and its job."""
        return self._upload.held_in

    @property
    def state(self) -> str:
        """An UploadState, or "PROCESSING" while a worker processes it."""
        running = self._job is not None and self._job.state == JobState.RUNNING
        waiting = self._upload.state == UploadState.STORED
        return PROCESSING if waiting and running else str(self._upload.state)

    @property
    def is_pending(self) -> bool:
        """Whether the field may still change through this upload."""
        return self._upload.state not in ENDED

    @property
    def progress(self) -> int:
        """How far it is, 0 to 100."""
        if self._upload.state == UploadState.DONE:
            return 100
        stored = self._job.progress if self._job else None
        value = stored.get("value") if isinstance(stored, dict) else None
        return int(value) if isinstance(value, int | float) else 0

    @property
    def error(self) -> UploadProblem | None:
        """Why it was rejected or failed, None otherwise."""
        code = self._upload.error_code
        return UploadProblem(code, self._upload.error_message) if code else None

    @property
    def filename(self) -> str:
        return self._upload.filename

    @property
    def name(self) -> str:
        """The name in the field's storage, once the upload is done."""
        return self._upload.final_name

    @property
    def variants(self) -> dict[str, dict[str, Any]]:
        """Each variant's name, width and height, once the upload is done."""
        return dict(self._upload.pictures)

    def refresh(self) -> None:
        """Read it again. Raises UploadError if its record was pruned."""
        found = self._upload.rows().first()
        if found is None:
            raise UploadError(f"Upload {self.id} is not, or no longer, on record.")
        self._upload = found
        self._job = None
        if self.is_pending and found.job_id:
            jobs = Job.objects.using(self.database).filter(pk=found.job_id)
            self._job = jobs.first()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, at most `seconds`; return whether it has.

        Raises RuntimeError inside a transaction, where its end could not be seen.
        """
        if connections[self.database].in_atomic_block:
            raise RuntimeError("wait() inside a transaction would never see the end.")
        deadline, pause = time.monotonic() + seconds, _SHORTEST
        self.refresh()
        while self.is_pending and time.monotonic() < deadline:
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(_LONGEST, pause * 1.5)
            self.refresh()
        return not self.is_pending

    def cancel(self) -> bool:
        """End it and delete its bytes; return False if it had ended before."""
        done = endings.end(self._upload, UploadState.CANCELLED)
        self.refresh()
        return done

    def retry(self) -> bool:
        """Try a failed upload again; return False if it is in another state.

        Raises UploadPending if a newer one waits for the field.
        """
        failed = self._upload.rows().filter(state=UploadState.FAILED)
        try:
            retried = work.enqueue_again(self._upload, failed, **REOPENED)
        except IntegrityError as error:
            raise UploadPending(
                f"Upload {self.id} cannot be retried: a newer one is pending for "
                "the same field. Cancel that first."
            ) from error
        self.refresh()
        return retried

    def __repr__(self) -> str:
        return f"<UploadHandle {self.id} {self.state}>"
