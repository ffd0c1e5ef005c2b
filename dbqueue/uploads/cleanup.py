"""What the sweep does: objects nobody refers to, uploads that are over, lost jobs."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db import models, router, transaction
from django.db.models import Exists, OuterRef

from dbqueue import dialects
from dbqueue.exceptions import UploadFieldUnknown
from dbqueue.models import (
    ArtifactState,
    FinishedJob,
    Job,
    Upload,
    UploadArtifact,
    UploadState,
)
from dbqueue.uploads import endings, work
from dbqueue.uploads.targets import Target, target_of_upload

logger = logging.getLogger(__name__)

BATCH = 200
# Until an upload without a job is taken for one whose job was lost.
LOST_AFTER = timedelta(minutes=5)
# After a storage refused to delete an object.
PURGE_AGAIN = timedelta(hours=1)
ENDED = (
    UploadState.DONE,
    UploadState.REJECTED,
    UploadState.SUPERSEDED,
    UploadState.FAILED,
    UploadState.CANCELLED,
)


class Sweep:
    """One look at everything that may be due, a batch of each."""

    def __init__(self, database: str, batch: int = BATCH) -> None:
        self._database = database
        self._batch = batch
        self._clock = dialects.of(database).clock()

    def run(self) -> dict[str, int]:
        """Do what is due; return how many of each were dealt with."""
        return {
            "jobs_mended": self.mend_jobs(),
            "uploads_deleted": self.delete_expired(),
            "objects_deleted": self.purge(),
        }

    def is_due(self) -> bool:
        """Tell whether run() would find anything."""
        looks = (self._lost, self._expired, self._forgotten, self._condemned)
        return any(look().exists() for look in looks)

    # Uploads whose job is gone

    def mend_jobs(self) -> int:
        """Fail or enqueue again the uploads whose job ended without them."""
        lost = list(self._lost()[: self._batch])
        for upload in lost:
            ended = FinishedJob.objects.using(self._database).filter(pk=upload.job_id)
            if ended.exists():
                message = "The file could not be saved: its job failed."
                endings.end(upload, UploadState.FAILED, code="failed", message=message)
            else:
                self._enqueue_again(upload)
        return len(lost)

    def _enqueue_again(self, upload: Upload) -> None:
        with transaction.atomic(using=self._database):
            job = work.enqueue_processing(upload)
            rows = self._uploads().filter(
                pk=upload.pk, state=UploadState.STORED, job_id=upload.job_id
            )
            if not rows.update(job_id=job.id):
                transaction.set_rollback(True, using=self._database)

    def _lost(self) -> Any:
        jobs = Job.objects.using(self._database).filter(pk=OuterRef("job_id"))
        return self._uploads().filter(
            ~Exists(jobs),
            state=UploadState.STORED,
            # A job that waits for a commit in another database is not lost.
            created_at__lt=self._clock - LOST_AFTER,
        )

    # Uploads that are over

    def delete_expired(self) -> int:
        """Delete the records, and the bytes, of uploads whose time is over."""
        deleted = 0
        for upload in list(self._expired()[: self._batch]):
            deleted += self.delete(upload)
        return deleted

    def delete(self, upload: Upload) -> bool:
        """Delete an upload that has ended, but not while its variants are shown."""
        live = self._artifacts().filter(upload=upload.pk, state=ArtifactState.LIVE)
        if upload.pictures and _is_shown(upload):
            later = endings.keeping(self._database, UploadState.DONE)
            self._uploads().filter(pk=upload.pk).update(expires_at=later)
            return False
        if upload.pictures:
            # The picture itself is the project's, whatever it did to the field.
            live.exclude(variant="").condemn(self._clock)
        self.purge(of=upload)
        waiting = self._artifacts().filter(upload=upload.pk)
        if waiting.exclude(state=ArtifactState.LIVE).exists():
            return False  # the record of what is still to be deleted
        return bool(self._uploads().filter(pk=upload.pk).delete()[0])

    def _expired(self) -> Any:
        over = (*ENDED, UploadState.RECEIVING)
        due = self._uploads().filter(expires_at__lt=self._clock, state__in=over)
        held = self._artifacts().filter(
            upload=OuterRef("pk"), state=ArtifactState.PURGE
        )
        return due.exclude(Exists(held)).order_by("expires_at")

    # Objects in storages

    def purge(self, of: Upload | None = None) -> int:
        """Delete the objects that are due and that no field refers to."""
        self._forgotten().condemn(self._clock)
        due = self._condemned().select_related("upload")
        if of is not None:
            due = due.filter(upload=of.pk)
        return sum(self._purge(artifact) for artifact in list(due[: self._batch]))

    def _purge(self, artifact: UploadArtifact) -> bool:
        try:
            target = target_of_upload(artifact.upload)
            if not _is_needed(artifact.name, target):
                target.field.storage.delete(artifact.name)
        except UploadFieldUnknown as error:
            logger.warning("Object name=%s is left: %s", artifact.name, error)
        except Exception:  # a storage of whatever make
            logger.exception("Object name=%s could not be deleted", artifact.name)
            rows = self._artifacts().filter(pk=artifact.pk)
            rows.update(purge_after=self._clock + PURGE_AGAIN)
            return False
        return bool(self._artifacts().filter(pk=artifact.pk).delete()[0])

    def _condemned(self) -> Any:
        return self._artifacts().filter(
            state=ArtifactState.PURGE, purge_after__lte=self._clock
        )

    def _forgotten(self) -> Any:
        """Return what attempts may have created after their upload had ended."""
        return self._artifacts().filter(
            state=ArtifactState.PLANNED,
            upload__state__in=ENDED,
            upload__finished_at__lt=self._clock - endings.PURGE_DELAY,
        )

    def _uploads(self) -> Any:
        return Upload.objects.using(self._database)

    def _artifacts(self) -> Any:
        return UploadArtifact.objects.using(self._database)


def _is_shown(upload: Upload) -> bool:
    try:
        return target_of_upload(upload).holds(upload.final_name)
    except UploadFieldUnknown:
        return False


def _is_needed(name: str, target: Target) -> bool:
    """Tell whether any row refers to the object, or a field has it as its default."""
    return any(
        name == field.get_default()
        or model._base_manager.using(database).filter(**{field.name: name}).exists()
        for model, field, database in _sharing(target)
    )


def _sharing(
    target: Target,
) -> Iterator[tuple[type[models.Model], models.FileField, str]]:
    """Yield the file fields, of all models, whose objects are in the same storage."""
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if not isinstance(field, models.FileField):
                continue
            if field.storage == target.field.storage:
                own = model is target.model
                database = target.database if own else router.db_for_read(model)
                yield model, field, database
