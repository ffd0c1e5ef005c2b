"""Deletes unreferenced objects and expired uploads; repairs lost jobs."""

import logging
import time
from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from dbqueue import dialects
from dbqueue.models import FinishedJob, Job
from dbqueue.tasks.framework import InvalidTask
from dbqueue.uploads import endings, work
from dbqueue.uploads.exceptions import UploadFieldUnknown
from dbqueue.uploads.models import (
    ENDED,
    PURGE_DELAY,
    ArtifactState,
    Upload,
    UploadArtifact,
    UploadState,
)
from dbqueue.uploads.sweep.references import is_in_use, needed, shown_again
from dbqueue.uploads.targets import Target, target_of_upload

logger = logging.getLogger(__name__)

BATCH = 200
PATIENCE = 30.0  # seconds after which a sweep begins nothing new
COUNTERS = ("jobs_repaired", "uploads_deleted", "objects_deleted")
# Age from which an upload without a job counts as one whose job was lost.
LOST_AFTER = timedelta(minutes=5)
# After a storage refused to delete an object.
PURGE_AGAIN = timedelta(hours=1)
DELETABLE = (*ENDED, UploadState.RECEIVING)


class Sweep:
    """Does everything that is due.

    batch: how many uploads or objects are read at once.
    states, older_than: delete the uploads that reached one of these states more than
        `older_than` seconds ago, in place of those that the settings let expire.
    """

    def __init__(
        self,
        database: str,
        batch: int = BATCH,
        *,
        states: Collection[str] | None = None,
        older_than: float | None = None,
    ) -> None:
        self._database = database
        self._uploads: Any = Upload.objects.using(database)
        self._artifacts: Any = UploadArtifact.objects.using(database)
        self._batch = batch
        self._states = DELETABLE if states is None else states
        self._older_than = older_than
        self._clock = dialects.of(database).clock()
        self._done = dict.fromkeys(COUNTERS, 0)
        self._last = UUID(int=0)

    def run(self, seconds: float = PATIENCE) -> dict[str, int]:
        """Do what is due, for `seconds`; return how many of each were handled."""
        deadline = time.monotonic() + seconds
        while self._pass() and time.monotonic() < deadline:
            pass
        return dict(self._done)

    def is_due(self) -> bool:
        """Tell whether run() would find anything."""
        finds = (self._lost, self._expired, self._forgotten, self._condemned)
        return any(find().exists() for find in finds)

    def due(self) -> dict[str, int]:
        """Return how many of each run() would find, leaving out what it then frees."""
        uploads = self._expired().iterator()
        return {
            "jobs_repaired": self._lost().count(),
            "uploads_deleted": sum(not is_in_use(upload) for upload in uploads),
            "objects_deleted": self._condemned().count() + self._forgotten().count(),
        }

    def _pass(self) -> bool:
        before = sum(self._done.values())
        self.repair_jobs()
        seen = self.delete_expired()
        self.purge()
        return seen > 0 or sum(self._done.values()) > before

    def repair_jobs(self) -> None:
        """Fail or enqueue again the uploads whose job ended without them."""
        for upload in list(self._lost()[: self._batch]):
            ended = FinishedJob.objects.using(self._database).filter(pk=upload.job_id)
            if ended.exists():
                endings.fail(upload, "its job failed")
            else:
                self._enqueue_again(upload)
            self._done["jobs_repaired"] += 1

    def _enqueue_again(self, upload: Upload) -> None:
        rows = upload.rows().filter(state=UploadState.STORED, job_id=upload.job_id)
        try:
            work.enqueue_again(upload, rows)
        except InvalidTask as error:  # such as a queue that TASKS lacks by now
            logger.warning("Upload id=%s cannot be retried: %s", upload.pk, error)
            endings.fail(upload, "its job was lost")

    def _lost(self) -> Any:
        jobs = Job.objects.using(self._database).filter(pk=OuterRef("job_id"))
        return self._uploads.filter(
            ~Exists(jobs),
            state=UploadState.STORED,
            # A job that waits for a commit in another database is not lost.
            created_at__lt=self._clock - LOST_AFTER,
        )

    def delete_expired(self) -> int:
        """Delete the records, and the bytes, of expired uploads.

        Return how many were read; the next call reads others.
        """
        batch = list(self._expired().filter(pk__gt=self._last)[: self._batch])
        for upload in batch:
            self._done["uploads_deleted"] += self.delete(upload)
            self._last = upload.pk
        return len(batch)

    def delete(self, upload: Upload) -> bool:
        """Delete an upload that has ended, but not while its variants are shown."""
        if is_in_use(upload):
            later = endings.keeping(self._database, UploadState.DONE)
            upload.rows().update(expires_at=later)
            return False
        artifacts = UploadArtifact.objects.of(upload)
        if artifacts.held().exists() and not endings.give_up(upload, self._clock):
            return False
        if upload.pictures:
            # The picture itself is the project's, in the field or not.
            live = artifacts.filter(state=ArtifactState.LIVE)
            live.exclude(variant="").condemn(self._clock)
        self.purge(of=upload)
        if artifacts.exclude(state=ArtifactState.LIVE).exists():
            return False  # the record of what is still to be deleted
        with transaction.atomic(using=self._database):
            # One that failed may be retried in the meantime, one received be saved. A
            # write locks it, and does not have SQLite begin as a reader.
            row = upload.rows().filter(state=upload.state)
            return bool(row.update(state=upload.state) and row.delete()[0])

    def _expired(self) -> Any:
        rows = self._uploads.filter(self._over(), state__in=self._states)
        held = self._artifacts.filter(upload=OuterRef("pk"), state=ArtifactState.PURGE)
        return rows.exclude(Exists(held)).order_by("pk")

    def _over(self) -> Q:
        if self._older_than is None:
            return Q(expires_at__lt=self._clock)
        limit = self._clock - timedelta(seconds=self._older_than)
        # What is just being received may be as old as a slow connection makes it.
        received = Q(state=UploadState.RECEIVING, expires_at__lt=self._clock)
        return Q(finished_at__lt=limit) | received & Q(created_at__lt=limit)

    def purge(self, of: Upload | None = None) -> None:
        """Delete the objects that are due and that no field refers to."""
        forgotten, due = self._forgotten(), self._condemned().select_related("upload")
        if of is not None:
            forgotten, due = forgotten.filter(upload=of.pk), due.filter(upload=of.pk)
        forgotten.condemn(self._clock)
        for artifacts in _by_field(due[: self._batch]):
            self._purge_together(artifacts)

    def _purge_together(self, artifacts: list[UploadArtifact]) -> None:
        """Delete objects of one field's storage."""
        target = _known_target(artifacts)
        if target is None:
            self._forget(artifacts)
            return
        shown = shown_again(artifacts)
        # Until the field changes once more.
        self._rows(shown).update(state=ArtifactState.LIVE, purge_after=None)
        due = [artifact for artifact in artifacts if artifact not in shown]
        in_use = needed([artifact.name for artifact in due], target)
        for artifact in due:
            if artifact.name in in_use or self._deleted(artifact, target):
                self._forget([artifact])

    def _deleted(self, artifact: UploadArtifact, target: Target) -> bool:
        storage = target.field.storage
        try:
            storage.delete(artifact.name)
        except Exception:  # any storage class
            logger.exception("Could not delete object name=%s", artifact.name)
            self._rows([artifact]).condemn(self._clock + PURGE_AGAIN)
            return False
        return not self._may_come_again(artifact, storage)

    def _may_come_again(self, artifact: UploadArtifact, storage: Any) -> bool:
        """Have what a browser may still send deleted once more, when it cannot."""
        upload = artifact.upload
        age = timedelta(seconds=getattr(storage, "arrives_for", 0.0))
        if not age or artifact.name != upload.held_as:
            return False
        rows = self._rows([artifact]).filter(upload__created_at__gt=self._clock - age)
        return bool(rows.condemn(upload.created_at + age))

    def _forget(self, artifacts: list[UploadArtifact]) -> None:
        self._done["objects_deleted"] += self._rows(artifacts).delete()[0]

    def _rows(self, artifacts: list[UploadArtifact]) -> Any:
        return self._artifacts.filter(pk__in=[artifact.pk for artifact in artifacts])

    def _condemned(self) -> Any:
        due = Q(purge_after__lte=self._clock)
        return self._artifacts.filter(due, state=ArtifactState.PURGE)

    def _forgotten(self) -> Any:
        """Return what attempts may have created after their upload had ended."""
        long_ago = self._clock - PURGE_DELAY
        uploads = self._uploads.filter(state__in=ENDED, finished_at__lt=long_ago)
        # No join: SQLite would begin it with all uploads there are.
        ended = Exists(uploads.filter(pk=OuterRef("upload_id")))
        return self._artifacts.planned().filter(ended)


def _known_target(artifacts: Iterable[UploadArtifact]) -> Target | None:
    """Return the target of one of the artifacts, whose field is that of all."""
    for artifact in artifacts:
        try:
            return target_of_upload(artifact.upload)
        except UploadFieldUnknown as error:  # or its key does not fit the model
            unknown = error
    logger.warning("Objects remain in their storage: %s", unknown)
    return None


def _by_field(artifacts: Iterable[UploadArtifact]) -> list[list[UploadArtifact]]:
    groups: dict[tuple[str, ...], list[UploadArtifact]] = {}
    for artifact in artifacts:
        of = artifact.upload
        key = (of.model, of.field_name, of.database, of.given_as)
        groups.setdefault(key, []).append(artifact)
    return list(groups.values())
