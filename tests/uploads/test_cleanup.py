"""What is swept up, by the command and by the workers themselves."""

import io
import json
import time
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, models
from django.utils import timezone

from dbqueue.maintenance import duties
from dbqueue.models import Job, Upload, UploadArtifact, UploadChunk
from dbqueue.tasks.framework import task_backends
from dbqueue.testing import run_jobs
from dbqueue.uploads.duties import enqueue_sweep_if_due
from dbqueue.uploads.endings import end
from dbqueue.uploads.signals import upload_failed
from dbqueue.uploads.sweep.cleanup import Sweep
from tests.gallery.models import Paper, Profile
from tests.support.processes import wait_until
from tests.uploads.rows import an_upload

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db
STATES = ("DONE", "REJECTED", "SUPERSEDED", "FAILED", "CANCELLED", "RECEIVING")


@pytest.fixture(autouse=True)
def storage(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)


def ago(**span):
    return timezone.now() - timedelta(**span)


def over(state="REJECTED", *, hours=1.0, due=True, **columns):
    """Have an upload that ended so many hours ago, and whose time is over or not."""
    return an_upload(
        Profile.objects.create(),
        state,
        created_at=ago(hours=hours),
        finished_at=None if state == "RECEIVING" else ago(hours=hours),
        expires_at=ago(hours=-1 + 2 * due),
        **columns,
    )


def shown(**columns):
    """Have one whose time is over, but not that of its thumbnail on some page."""
    pictures = {"thumb": {"name": "thumb.webp", "width": 1, "height": 1}}
    upload = over("DONE", final_name="a.jpg", pictures=pictures, **columns)
    Profile.objects.filter(pk=upload.object_pk).update(photo="a.jpg")
    return upload


def condemned(name="old.jpg"):
    """Have an object in the storage that is to be deleted."""
    default_storage.save(name, ContentFile(b"x"))
    upload = an_upload(Profile.objects.create(), "DONE", finished_at=ago(hours=1))
    return UploadArtifact.objects.create(
        upload=upload, name=name, run="", state="PURGE", purge_after=ago(hours=1)
    )


def run(*args):
    out = io.StringIO()
    call_command("uploads_cleanup", *args, stdout=out)
    return out.getvalue()


def left():
    return sorted(Upload.objects.values_list("state", flat=True))


def test_variants_stay_while_the_picture_is_back_in_the_field():
    for name in ("a.jpg", "thumb.webp", "left.webp"):
        default_storage.save(name, ContentFile(b"x"))
    upload = shown()
    for variant, name in (("", "a.jpg"), ("thumb", "thumb.webp"), ("x", "left.webp")):
        UploadArtifact.objects.create(
            upload=upload,
            name=name,
            variant=variant,
            run="r",
            state="PURGE",
            purge_after=ago(hours=1),
        )

    run()

    assert default_storage.listdir("")[1] == ["a.jpg", "thumb.webp"]
    states = UploadArtifact.objects.values_list("state", "purge_after")
    assert list(states) == [("LIVE", None)] * 2


def test_an_object_stays_that_a_storage_of_its_own_shares(tmp_path, monkeypatch):
    storage = FileSystemStorage(location=tmp_path)  # equal to no other
    monkeypatch.setattr(Paper._meta.get_field("document"), "storage", storage)
    condemned("old.jpg")
    Paper.objects.create(document="old.jpg")

    run()

    assert default_storage.exists("old.jpg")


def test_an_object_stays_that_a_hidden_row_refers_to(monkeypatch):
    class Hiding(models.Manager):
        def get_queryset(self):
            return super().get_queryset().none()

    manager = Hiding()
    manager.model = Profile
    monkeypatch.setitem(Profile._meta.__dict__, "base_manager", manager)
    condemned("old.jpg")
    Profile.objects.create(photo="old.jpg")

    run()

    assert default_storage.exists("old.jpg")


@pytest.mark.parametrize(
    "columns",
    [
        {"database": "gone"},
        {"field_name": "name"},
        {"object_pk": "b07"},
        {"model": "a.B"},
    ],
)
def test_a_row_of_a_removed_model_does_not_stop_the_others(columns):
    upload = shown()
    Upload.objects.filter(pk=upload.pk).update(**columns)
    condemned()
    UploadArtifact.objects.create(
        upload=upload, name="b", run="r", state="PURGE", purge_after=ago(hours=1)
    )

    run()

    assert not UploadArtifact.objects.exists()
    assert not default_storage.exists("old.jpg")


def test_an_upload_whose_queue_was_removed_has_failed(settings):
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["uploads"]}}
    upload = an_upload(Profile.objects.create(), options={"queue_name": "gone"})

    run()

    upload.refresh_from_db()
    assert (upload.state, upload.error_code) == ("FAILED", "failed")


def test_a_look_at_what_was_forgotten_does_not_read_all_uploads(only_sqlite):
    plan = Sweep("default")._forgotten().explain()

    assert "SCAN dbqueue_uploadartifact USING INDEX dbqueue_uploadartifact_plan" in plan
    assert "SCAN dbqueue_upload\n" not in plan


class TestTheCommand:
    def test_uploads_cleanup_deletes_what_is_over_and_says_so(self):
        for state in STATES:
            over(state)
            over(state, due=False)
        condemned()

        assert run() == (
            "6 uploads deleted, 1 file deleted from storages, "
            "0 lost jobs re-enqueued.\n"
        )
        assert left() == sorted([*STATES, "DONE"])
        assert not default_storage.exists("old.jpg")

    def test_uploads_cleanup_goes_on_until_nothing_is_left(self):
        for number in range(7):
            over()
            condemned(f"{number}.jpg")

        assert "7 uploads deleted, 7 files" in run("--batch", "2")

    def test_uploads_cleanup_goes_past_what_must_stay(self):
        for _ in range(3):
            shown()
        over()

        assert "1 upload deleted" in run("--batch", "1")
        assert left() == ["DONE"] * 3

    def test_uploads_cleanup_takes_an_age_in_place_of_the_settings(self):
        over(hours=3, due=False)
        over(hours=1, due=True)

        run("--age", "2")

        assert Upload.objects.get().finished_at > ago(hours=2)

    def test_uploads_cleanup_takes_states(self):
        for state in STATES:
            over(state)

        run("--state", "failed", "--state", "receiving")

        assert left() == ["CANCELLED", "DONE", "REJECTED", "SUPERSEDED"]

    def test_uploads_cleanup_deletes_the_bytes_with_a_failed_upload(self):
        upload = over("FAILED", hours=49, due=False)
        UploadChunk.objects.create(upload=upload, position=0, data=b"abc")

        run("--state", "failed", "--age", "48")

        assert not UploadChunk.objects.exists()

    @pytest.mark.parametrize("args", [[], ["--age", "0"]])
    def test_uploads_cleanup_never_deletes_what_waits_or_is_shown_or_arrives(
        self, args
    ):
        an_upload(Profile.objects.create(), "STORED", created_at=ago(seconds=1))
        over("RECEIVING", hours=1, due=False)
        shown()

        run(*args)

        assert left() == ["DONE", "RECEIVING", "STORED"]

    def test_uploads_cleanup_only_counts_when_told(self):
        over()
        shown()
        condemned()
        an_upload(Profile.objects.create(), "STORED", created_at=ago(hours=1))

        said = run("--dry-run")

        assert said == (
            "1 upload would be deleted, 1 file would be deleted from storages, "
            "1 lost job would be re-enqueued.\n"
        )
        assert left() == ["DONE", "DONE", "REJECTED", "STORED"]
        assert default_storage.exists("old.jpg")
        assert not Job.objects.exists()

    def test_uploads_cleanup_prints_json(self):
        over()

        assert json.loads(run("--json")) == {
            "jobs_repaired": 0,
            "uploads_deleted": 1,
            "objects_deleted": 0,
            "dry_run": False,
        }

    def test_uploads_cleanup_takes_the_database_in_which_uploads_wait(self, settings):
        over()
        entry = {"BACKEND": "dbqueue.backend.DatabaseBackend", "QUEUES": []}
        other = {**entry, "OPTIONS": {"database": "other"}}
        settings.TASKS = {"default": entry, "second": other}

        for option in ("--database=other", "--backend=second"):
            with pytest.raises(CommandError, match="No uploads are in 'other'"):
                run(option)
        with pytest.raises(CommandError, match="Did you mean 'default'"):
            run("--database=defualt")

        assert "1 upload deleted" in run("--database=default")

    def test_uploads_cleanup_is_quiet_when_told(self):
        assert run("--verbosity", "0") == ""

    @pytest.mark.parametrize("age", ["", "soon", "-1", "nan", "inf", "2d"])
    def test_uploads_cleanup_refuses_what_is_not_an_age(self, age):
        with pytest.raises(CommandError, match="not a number of hours like 48 or"):
            run(f"--age={age}")

    def test_uploads_cleanup_refuses_a_project_without_our_backend(self, settings):
        other = f"{task_backends.__module__}.backends.dummy.DummyBackend"
        settings.TASKS = {"default": {"BACKEND": other}}

        with pytest.raises(
            CommandError, match="No entry of TASKS is a dbqueue backend"
        ):
            run()


class TestTheSweep:
    def test_the_sweep_leaves_an_upload_that_is_retried_in_the_meantime(self):
        upload = over("FAILED")
        Upload.objects.update(state="STORED", expires_at=None)

        assert not Sweep("default").delete(upload)
        assert left() == ["STORED"]

    def test_the_sweep_repairs_an_upload_whose_model_was_removed(self):
        upload = an_upload(Profile.objects.create(), model="gone.Model")
        heard = []
        upload_failed.connect(lambda sender, **more: heard.append(sender), weak=False)

        try:
            assert end(upload, "FAILED", code="failed", message="It failed.")
        finally:
            upload_failed.receivers.clear()
            upload_failed.sender_receivers_cache.clear()

        assert left() == ["FAILED"]


class TestTheWorkersShare:
    def sweeps(self):
        return Job.objects.filter(task="dbqueue.uploads.tasks.sweep").count()

    def test_a_workers_share_of_the_sweep_is_nothing_while_nothing_is_due(
        self, django_assert_max_num_queries
    ):
        over(due=False)

        with django_assert_max_num_queries(4):
            enqueue_sweep_if_due("default")

        assert not Job.objects.exists()

    def test_workers_sweep_by_one_job_for_all_of_them(self):
        over()

        for _ in range(10):
            enqueue_sweep_if_due("default")

        assert self.sweeps() == 1
        run_jobs()
        assert left() == []

    def test_workers_sweep_by_one_job_a_minute_also_if_others_cannot_see_it_yet(
        self, monkeypatch
    ):
        over()
        monkeypatch.setattr("dbqueue.uploads.duties._is_pending", lambda alias: False)
        now = timezone.now().replace(second=1)

        for seconds in (0, 30, 57, 60):
            moment = now + timedelta(seconds=seconds)
            monkeypatch.setattr(timezone, "now", lambda moment=moment: moment)
            enqueue_sweep_if_due("default")

        assert self.sweeps() == 2

    def test_sweeps_do_not_pile_up_where_no_worker_takes_the_queue(self, monkeypatch):
        over()
        enqueue_sweep_if_due("default")
        later = timezone.now() + timedelta(hours=1)
        monkeypatch.setattr(timezone, "now", lambda: later)

        enqueue_sweep_if_due("default")

        assert self.sweeps() == 1

    def test_a_workers_share_of_the_sweep_is_not_of_another_database(self):
        over()

        enqueue_sweep_if_due("other")

        assert not Job.objects.exists()

    def test_a_workers_share_of_the_sweep_calls_no_storage(self, monkeypatch):
        condemned()
        shown()

        def refuse(*args):
            raise AssertionError("The storage was asked.")

        for name in ("delete", "exists", "open"):
            monkeypatch.setattr(
                f"django.core.files.storage.FileSystemStorage.{name}", refuse
            )
        enqueue_sweep_if_due("default")

        assert self.sweeps() == 1

    def test_a_workers_share_of_the_sweep_is_a_registered_duty(self):
        assert (60.0, enqueue_sweep_if_due, False) in duties._registered


@pytest.mark.parametrize("error", [ValueError, DatabaseError])
def test_a_duty_that_fails_hinders_no_other(monkeypatch, caplog, error):
    done = []

    def fail(alias):
        raise error("broken")

    monkeypatch.setattr(duties, "_registered", [])
    duties.register(60.0, fail)
    duties.register(60.0, done.append)

    for duty in duties.registered():
        duty.do("default")
        assert 40 < duty.due_at - time.monotonic() < 80
    assert done == ["default"]
    assert "A duty failed name=fail" in caplog.text


def test_a_duty_that_finds_no_database_says_so_in_a_line(monkeypatch, caplog):
    def fail(alias):
        raise OperationalError("terminating connection")

    monkeypatch.setattr(duties, "_registered", [])
    duties.register(60.0, fail)
    (duty,) = duties.registered()

    duty.do("default")

    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert "name=fail: terminating connection" in record.message


def test_a_worker_sweeps_by_itself(run_worker):
    over()

    run_worker()

    wait_until(lambda: not Upload.objects.exists(), "the upload is deleted")
