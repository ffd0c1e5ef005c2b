"""The last step: the field, the upload and the job change in one commit, or nothing."""

from typing import Any

from django.db import models, transaction

from dbqueue.uploads import conf, endings
from dbqueue.uploads.models import ArtifactState, Upload, UploadArtifact, UploadState
from dbqueue.uploads.processing.storing import Stored
from dbqueue.uploads.targets import Target


def promote(upload: Upload, target: Target, stored: Stored, run: str) -> UploadState:
    """Write the name into the field if it still holds what the upload replaces.

    Runs in the transaction that ends the job. Returns the state of the upload: DONE,
    SUPERSEDED if the field has changed, or the state that another process gave it.
    """
    if target.database == upload.held_in:
        # First the model's row, then the upload's: save_image() locks them in this
        # order, too, so that they cannot deadlock.
        target.lock()
    state = _locked_state(upload)
    if state != UploadState.STORED:
        UploadArtifact.objects.of(upload).planned().filter(run=run).condemn()
        return state
    if _write(upload, target, stored) or target.holds(stored.name):
        _complete(upload, target, stored, run)
        return UploadState.DONE
    endings.end(upload, UploadState.SUPERSEDED)
    return UploadState.SUPERSEDED


def _locked_state(upload: Upload) -> UploadState:
    rows = upload.rows().filter(job_id=upload.job_id)
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


def _complete(upload: Upload, target: Target, stored: Stored, run: str) -> None:
    own = UploadArtifact.objects.of(upload).filter(run=run)
    own.update(state=ArtifactState.LIVE)
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
    """Have what the field held before deleted, with its variants, if that is wished."""
    replaced = upload.options.get("replaced") or conf.current().replaced
    artifacts = UploadArtifact.objects.using(upload.held_in)
    before = Upload.objects.using(upload.held_in).filter(**target.key())
    others = before.exclude(pk=upload.pk)
    live = artifacts.filter(upload__in=others, state=ArtifactState.LIVE)
    known = set(live.values_list("name", flat=True))
    if replaced == "keep":
        live.filter(variant="").delete()  # it is the project's from now on
        return
    live.condemn()
    name = upload.expected_name
    if replaced == "delete" and name and name not in known:
        old = artifacts.create(upload_id=upload.pk, name=name, state=ArtifactState.LIVE)
        artifacts.filter(pk=old.pk).condemn()
