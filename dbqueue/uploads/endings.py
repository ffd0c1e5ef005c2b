"""How uploads end: each end is one guarded move, even if another is made at once."""

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db import transaction

from dbqueue import dialects
from dbqueue.uploads import conf, signals
from dbqueue.uploads.chunks import delete_chunks
from dbqueue.uploads.models import (
    HOLDING_BYTES,
    ArtifactState,
    Upload,
    UploadArtifact,
    UploadState,
)

# Until the sweep deletes bytes that no transaction and no view came to save.
KEEP_RECEIVED = timedelta(days=1)
# Until an object is deleted that nothing refers to: pages that show it are still open.
PURGE_DELAY = timedelta(hours=1)

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
    """End an upload whose bytes wait; return False if it has ended already.

    Its bytes go, except those of a failed one, and so will what attempts left stored.
    `columns` are further ones to write.
    """
    database = str(upload._state.db)
    columns |= {"error_code": code, "error_message": message}
    with transaction.atomic(using=database):
        if not _move(upload, state, columns):
            return False
        _let_go(upload, keep_bytes=state == UploadState.FAILED)
        upload.refresh_from_db(using=database)
        announce(state, upload)
    return True


def announce(state: UploadState, upload: Upload) -> None:
    """Send the signal of the state after the commit, if it has one."""
    if state in _SIGNALS:
        signals.announce(_SIGNALS[state], _sender(upload), upload)


def keeping(database: str, state: UploadState) -> object:
    """Return when the record of an upload that ends now may go."""
    settings = conf.current()
    failed = state == UploadState.FAILED
    seconds = settings.keep_failed if failed else settings.keep
    return dialects.of(database).clock() + timedelta(seconds=seconds)


def purging(database: str) -> Any:
    """Return when an object that is no longer needed from now on may go."""
    return dialects.of(database).clock() + PURGE_DELAY


def _sender(upload: Upload) -> object:
    try:
        return apps.get_model(upload.model)
    except LookupError:
        return None  # the model no longer exists: no receivers


def _move(upload: Upload, state: UploadState, columns: dict[str, Any]) -> int:
    database = str(upload._state.db)
    movable = set(HOLDING_BYTES) - {state}
    rows = Upload.objects.using(database).filter(pk=upload.pk, state__in=movable)
    return rows.update(
        **columns,
        state=state,
        finished_at=dialects.of(database).clock(),
        expires_at=keeping(database, state),
    )


def _let_go(upload: Upload, *, keep_bytes: bool) -> None:
    database = str(upload._state.db)
    artifacts = UploadArtifact.objects.using(database).filter(upload=upload.pk)
    planned = artifacts.filter(state=ArtifactState.PLANNED)
    planned.condemn(purging(database))
    if not keep_bytes:
        delete_chunks(database, upload.pk)
