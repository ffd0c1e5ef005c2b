"""Rows that the code before the re-housing wrote, and paths that projects import."""

from importlib import import_module
from pathlib import Path

import pytest
from django.core import serializers
from django.core.cache import cache
from django.utils.module_loading import import_string

from dbqueue.maintenance.rescue import rescue_orphans
from dbqueue.models import FinishedJob, Job
from dbqueue.testing import run_jobs
from tests.gallery.models import Profile

ROWS = Path(__file__).with_name("rows_of_2673c6e.json")


@pytest.fixture
def rows_of_before(db, settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)
    for row in serializers.deserialize("json", ROWS.read_text()):
        row.save()


def test_jobs_that_were_written_before_still_run(rows_of_before):
    ids = set(Job.objects.values_list("pk", flat=True))
    assert len(ids) == 5
    assert rescue_orphans("default") == 1

    run_jobs(scheduled=True)

    assert not Job.objects.exists()
    states = FinishedJob.objects.filter(pk__in=ids).values_list("state", flat=True)
    assert set(states) == {"SUCCESSFUL"}


def test_uploads_that_were_pending_before_are_still_saved(
    rows_of_before, django_capture_on_commit_callbacks
):
    cache.set("session", "Ada")

    with django_capture_on_commit_callbacks(execute=True):
        run_jobs()

    ada, bob = (Profile.objects.get(name=name) for name in ("Ada", "Bob"))
    assert ada.photo.name.endswith(".png")
    assert ada.photo.size > 0
    assert bob.letter.read() == b"Dear all"
    assert cache.get("session") is None  # it was written with clear_cache=True


def test_exceptions_that_were_stored_before_can_still_be_imported(rows_of_before):
    records = FinishedJob.objects.filter(state="FAILED")
    paths = {entry["exception"] for job in records for entry in job.attempt_log}
    assert len(paths) == 4

    for path in paths:
        assert issubclass(import_string(path), Exception)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("dbqueue", "enqueue aenqueue enqueue_many task Task Retry Cancel TaskTimeout"),
        ("dbqueue", "JobContext JobResult bind_context current_context"),
        ("dbqueue.backend", "DatabaseBackend"),
        ("dbqueue.backoff", "exponential"),
        ("dbqueue.compat.async_image_save.utils", "save_image"),
        ("dbqueue.exceptions", "DbqueueError WorkerLost ClaimLost UploadError"),
        ("dbqueue.exceptions", "ContentRejected UploadDamaged SandboxFailed"),
        ("dbqueue.models", "Job FinishedJob Worker JobState Upload UploadChunk"),
        ("dbqueue.models", "UploadArtifact UploadState ArtifactState"),
        ("dbqueue.status", "queues workers"),
        ("dbqueue.testing", "run_jobs enqueued assert_enqueued ImmediateBackend"),
        ("dbqueue.uploads", "save_image save_file Variant ImagePolicy uploads_for"),
        ("dbqueue.uploads.handlers", "BlobUploadHandler BodyTooLarge BodyRefused"),
        ("dbqueue.uploads.middleware", "UploadLimitMiddleware"),
        ("dbqueue.uploads.signals", "upload_promoted upload_rejected"),
        ("dbqueue.uploads.tasks", "process sweep"),
    ],
)
def test_paths_that_projects_import_lead_somewhere(module, names):
    for name in names.split():
        assert getattr(import_module(module), name) is not None


def test_a_name_that_no_wing_has_is_missing_from_the_core_too():
    for module in ("dbqueue", "dbqueue.exceptions", "dbqueue.models"):
        with pytest.raises(
            AttributeError, match=f"module '{module}' has no attribute 'Nothing'"
        ):
            import_module(module).Nothing  # noqa: B018  read to be missed
