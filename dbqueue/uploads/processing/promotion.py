"""The last step: the field, the upload and the job change in one commit, or nothing."""

from typing import Any

from django.db import models, transaction

from dbqueue.uploads import endings
from dbqueue.uploads.models import ArtifactState, Upload, UploadArtifact, UploadState
from dbqueue.uploads.processing.storing import Stored
from dbqueue.uploads.targets import Target


def promote(upload: Upload, target: Target, stored: Stored, run: str) -> UploadState:
    """Write the name into the field if it still holds what the upload replaces.

    Runs in the transaction that ends the job. Returns the state of the upload: DONE,
    SUPERSEDED if the field has changed, or what somebody else made of it meanwhile.
    """
    database = str(upload._state.db)
    together = target.database == database
    if together:
        # First the model's row, then the upload's: save_image() takes them in this
        # order, too, so that neither waits for the other.
        target.lock()
    state = _locked_state(upload)
    if state != UploadState.STORED:
        _discard(upload, run)
        return state
    written = _write(upload, target, stored) or target.holds(stored.name)
    if not written:
        endings.end(upload, UploadState.SUPERSEDED)
        return UploadState.SUPERSEDED
    _complete(upload, target, stored, run)
    return UploadState.DONE


def _locked_state(upload: Upload) -> UploadState:
    rows = Upload.objects.using(upload._state.db).filter(
        pk=upload.pk, job_id=upload.job_id
    )
    state = rows.select_for_update().values_list("state", flat=True).first()
    return UploadState(state) if state else UploadState.SUPERSEDED


def _write(upload: Upload, target: Target, stored: Stored) -> bool:
    columns = target.columns(stored.name, stored.width, stored.height)
    if upload.options.get("save_mode") != "save":
        return target.replace(upload.expected_name, columns)
    with transaction.atomic(using=target.database):
        instance = target.locked(upload.expected_name)
        if instance is None:
            return False
        _assign(instance, target.field, columns)
        instance.save(using=target.database, update_fields=list(columns))
    return True


def _assign(
    instance: models.Model, field: models.FileField, columns: dict[str, Any]
) -> None:
    for name, value in columns.items():
        if name == field.name:
            # Past the descriptor, which would open the file to measure it.
            instance.__dict__[field.attname] = value
        else:
            setattr(instance, name, value)


def _discard(upload: Upload, run: str) -> None:
    database = str(upload._state.db)
    artifacts = UploadArtifact.objects.using(database).filter(upload=upload.pk, run=run)
    planned = artifacts.filter(state=ArtifactState.PLANNED)
    planned.condemn(endings.purging(database))


def _complete(upload: Upload, target: Target, stored: Stored, run: str) -> None:
    own = UploadArtifact.objects.using(upload._state.db).filter(upload=upload.pk)
    own.filter(run=run).update(state=ArtifactState.LIVE)
    endings.end(
        upload,
        UploadState.DONE,
        final_name=stored.name,
        pictures=stored.pictures,
        width=stored.width,
        height=stored.height,
    )
    _retire_predecessors(upload, target)


def _retire_predecessors(upload: Upload, target: Target) -> None:
    """Have what the field held before deleted, with its variants."""
    database = str(upload._state.db)
    later = endings.purging(database)
    before = Upload.objects.using(database).filter(**target.key())
    live = UploadArtifact.objects.using(database).filter(
        upload__in=before.exclude(pk=upload.pk), state=ArtifactState.LIVE
    )
    known = set(live.values_list("name", flat=True))
    live.condemn(later)
    if upload.expected_name and upload.expected_name not in known:
        UploadArtifact.objects.using(database).create(
            upload_id=upload.pk,
            name=upload.expected_name,
            state=ArtifactState.PURGE,
            purge_after=later,
        )
