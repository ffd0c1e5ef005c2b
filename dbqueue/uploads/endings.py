"""How uploads end: by one guarded move, even if another process makes one, too."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.apps import apps
from django.db import transaction

from dbqueue import dialects
from dbqueue.dialects.columns import HeldJob
from dbqueue.dialects.rows import MovedJob
from dbqueue.jobs import events
from dbqueue.uploads import conf, signals, work
from dbqueue.uploads.models import Upload, UploadArtifact, UploadChunk, UploadState

# Until the sweep deletes bytes that were received and never saved.
KEEP_RECEIVED = timedelta(hours=1)

_SIGNALS = {
    UploadState.STORED: signals.upload_stored,
    UploadState.DONE: signals.upload_promoted,
    UploadState.REJECTED: signals.upload_rejected,
    UploadState.SUPERSEDED: signals.upload_superseded,
    UploadState.FAILED: signals.upload_failed,
}


def end(
    upload: Upload,
    state: UploadState,
    *,
    code: str = "",
    message: str = "",
    **columns: Any,
) -> bool:
    """End an upload whose bytes are held; return False if it has ended already.

    Its bytes are deleted, except those of a failed one, and so will be what attempts
    left stored. `columns` are further ones to write.
    """
    database = upload.held_in
    with transaction.atomic(using=database):
        moved = upload.rows().open().exclude(state=state)
        if not moved.update(
            **columns,
            state=state,
            error_code=code,
            error_message=message,
            finished_at=dialects.of(database).clock(),
            expires_at=keeping(database, state),
        ):
            return False
        artifacts = UploadArtifact.objects.of(upload)
        artifacts.planned().condemn()
        if state != UploadState.FAILED:
            UploadChunk.objects.using(database).filter(upload=upload.pk).delete()
            artifacts.held().condemn(dialects.of(database).clock())
        upload.refresh_from_db(using=database)
        announce(state, upload)
    return True


def fail(upload: Upload, why: str) -> bool:
    """End an upload as FAILED, which keeps its bytes; see end()."""
    message = f"The file could not be saved: {why}."
    return end(upload, UploadState.FAILED, code="failed", message=message)


def give_up(upload: Upload, now: Any = None) -> bool:
    """Have what holds the bytes deleted, if nobody moved the upload since.

    Afterwards it can be neither saved nor retried. `now` is what a sweep takes for it.
    """
    database = upload.held_in
    with transaction.atomic(using=database):
        unmoved = upload.rows().filter(state=upload.state)
        if not unmoved.update(state=UploadState.CANCELLED):
            return False
        held = UploadArtifact.objects.of(upload).held()
        held.condemn(now or dialects.of(database).clock())
        UploadChunk.objects.using(database).filter(upload=upload.pk).delete()
    upload.state = UploadState.CANCELLED
    return True


def after_end(alias: str, jobs: Sequence[MovedJob | HeldJob]) -> None:
    """Fail the uploads whose jobs ended without them; see dialects.hooks."""
    ids = [job.id for job in jobs if job.task == work.PROCESS]
    if ids:
        waiting = Upload.objects.using(alias).filter(state=UploadState.STORED)
        for upload in waiting.filter(job_id__in=ids):
            fail(upload, "its job was cancelled or lost")


def announce(state: UploadState, upload: Upload) -> None:
    """Send the signal of the state after the commit, if it has one."""
    if state in _SIGNALS:
        deliver = partial(events.deliver, _SIGNALS[state])
        send_later = partial(deliver, _sender(upload), upload=upload)
        transaction.on_commit(send_later, using=upload.held_in)


def keeping(database: str, state: UploadState) -> object:
    """Return when the record of an upload that ends now may be deleted."""
    settings = conf.current()
    failed = state == UploadState.FAILED
    seconds = settings.keep_failed if failed else settings.keep
    return dialects.of(database).clock() + timedelta(seconds=seconds)


def _sender(upload: Upload) -> object:
    try:
        return apps.get_model(upload.model)
    except LookupError:
        return None  # the model no longer exists: no receivers
