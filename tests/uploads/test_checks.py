"""What `manage.py check` says of uploads; nothing where there are none."""

import sys
from datetime import timedelta
from importlib import metadata

import pytest
from django.core.checks import run_checks
from django.core.files.storage import FileSystemStorage
from django.core.management import call_command
from django.utils import timezone

from dbqueue.ids import uuid7
from dbqueue.imaging import launcher
from dbqueue.maintenance import leases
from dbqueue.models import Job, Upload
from dbqueue.uploads import checks, work
from dbqueue.uploads.checks import check_sandbox, check_uploads, check_workers
from dbqueue.worker.options import WorkerOptions
from tests.gallery.models import Paper, Profile
from tests.uploads.rows import an_upload

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)
    settings.FILE_UPLOAD_HANDLERS = [checks.HANDLER]


@pytest.fixture
def pillow(monkeypatch):
    """Return a function that has another version of Pillow installed, or none."""

    def install(version):
        def found(name):
            if version is None:
                raise metadata.PackageNotFoundError(name)
            return version

        monkeypatch.setattr(metadata, "version", found)

    return install


def ids():
    return [message.id for message in check_uploads()]


def test_a_project_that_can_do_it_passes():
    assert ids() == []
    assert [m for m in run_checks(include_deployment_checks=False) if "E" in m.id] == []


def test_a_project_without_uploads_is_left_alone(settings, monkeypatch):
    settings.FILE_UPLOAD_HANDLERS = []
    settings.MEDIA_ROOT = ""
    monkeypatch.delitem(sys.modules, checks.API, raising=False)

    assert ids() == []


def test_a_project_whose_views_save_uploads_is_looked_at(settings, monkeypatch):
    settings.FILE_UPLOAD_HANDLERS = []
    settings.MEDIA_ROOT = ""
    monkeypatch.setitem(sys.modules, checks.API, checks)

    assert ids() == ["dbqueue.W007"]


@pytest.mark.parametrize(
    ("queues", "expected"),
    [(["default"], ["dbqueue.E005"]), (["default", "uploads"], []), ([], [])],
)
def test_e005_tells_that_the_queue_is_not_allowed(settings, queues, expected):
    entry = {"BACKEND": "dbqueue.backend.DatabaseBackend", "QUEUES": queues}
    settings.TASKS = {"default": entry}

    assert ids() == expected


@pytest.mark.parametrize("version", [None, "11.3.0", "12.2", "9"])
def test_w006_tells_that_pillow_is_missing_or_old(pillow, version):
    pillow(version)

    (message,) = check_uploads()

    assert message.id == "dbqueue.W006"
    assert (version or "not installed") in message.msg


@pytest.mark.parametrize("version", ["12.3.0", "12.10", "13.0.0.dev0"])
def test_w006_is_content_with_a_later_pillow(pillow, version):
    pillow(version)

    assert ids() == []


@pytest.mark.parametrize(
    ("model", "name", "longest", "expected"),
    [
        (Profile, "photo", 28, ["dbqueue.W021"]),
        (Profile, "photo", 29, []),
        (Profile, "photo", None, []),
        # What its upload_to says of a row is not known.
        (Paper, "document", 21, ["dbqueue.W021"]),
        (Paper, "document", 22, []),
    ],
)
def test_w021_tells_that_a_column_is_too_short_for_any_name(
    model, name, longest, expected, monkeypatch
):
    monkeypatch.setattr(model._meta.get_field(name), "max_length", longest)

    assert ids() == expected


def test_w007_tells_that_there_is_no_media_root(settings):
    settings.MEDIA_ROOT = ""

    (message,) = check_uploads()

    assert message.id == "dbqueue.W007"
    assert "MEDIA_ROOT is not set" in message.msg


def test_w007_tells_that_files_are_in_the_memory_of_a_worker(settings):
    settings.STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    }

    (said,) = check_uploads()
    assert said.id == "dbqueue.W007"
    assert "in the memory of the worker" in said.msg


def test_w007_tells_that_a_folder_cannot_be_written(settings, tmp_path):
    (tmp_path / "file").touch()
    settings.MEDIA_ROOT = str(tmp_path / "file" / "media")

    (message,) = check_uploads()

    assert message.id == "dbqueue.W007"
    assert "may not write to" in message.msg


def test_w007_is_content_with_a_folder_that_can_be_made(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path / "later" / "media")

    assert ids() == []


def test_w007_tells_that_a_storage_cannot_be_had(settings, monkeypatch):
    class Broken(FileSystemStorage):
        @property
        def location(self):
            raise checks.ImproperlyConfigured("There is no bucket.")

    field = Profile._meta.get_field("photo")
    monkeypatch.setattr(field, "storage", Broken())

    (message,) = check_uploads()

    assert "Files of gallery.Profile.photo cannot be stored: There is no bucket" in (
        message.msg
    )


class TestTheSandbox:
    def said(self, layers, monkeypatch):
        monkeypatch.setattr(launcher, "layers", lambda: layers)
        return {message.id: message.msg for message in check_sandbox()}

    def test_i001_names_the_layers_of_this_machine(self, capsys):
        call_command("check", deploy=True, tags=["dbqueue_uploads"])

        said = capsys.readouterr().err
        assert "dbqueue.I001" in said
        for layer in launcher.layers():
            assert layer in said

    def test_w020_names_the_layer_that_is_missing(self, monkeypatch):
        said = self.said(("Landlock", "no capabilities"), monkeypatch)

        assert said["dbqueue.W020"] == "The sandbox of pictures lacks seccomp."
        assert "Landlock" in said["dbqueue.I001"]

    def test_w020_is_content_with_all_that_is_wanted(self, monkeypatch):
        assert list(self.said(launcher.WANTED, monkeypatch)) == ["dbqueue.I001"]

    def test_a_project_without_uploads_is_told_nothing(self, settings, monkeypatch):
        settings.FILE_UPLOAD_HANDLERS = []
        monkeypatch.delitem(sys.modules, checks.API, raising=False)

        assert self.said((), monkeypatch) == {}


class TestW008:
    @pytest.fixture
    def waiting(self):
        """Have an upload that waits in its queue for over a minute."""
        upload = an_upload(Profile.objects.create(), job_id=uuid7())
        upload.job_id = work.enqueue_processing(upload).id
        upload.created_at = timezone.now() - timedelta(seconds=61)
        upload.save()
        return upload

    def worker(self, *queues, exclude=(), lease=60.0):
        options = WorkerOptions(
            database="default", sender=object, queues=queues, exclude=exclude
        )
        leases.register(
            *("default", uuid7()),
            **{"name": "w", "host": "h", "pid": 1, "lease": lease},
            queues=options.described(),
        )

    def found(self, databases=("default",)):
        return [message.id for message in check_workers(databases=databases)]

    def test_w008_tells_that_no_worker_takes_the_queue(self, waiting):
        self.worker(["default"], ["mail-*"])
        self.worker(["*"], exclude=["upl*"])
        self.worker(["*"], lease=-1.0)

        (message,) = check_workers(databases=["default"])

        assert message.id == "dbqueue.W008"
        assert "queue 'uploads'" in message.msg

    @pytest.mark.parametrize("queues", [["*"], ["mail", "up*"], ["uploads"]])
    def test_w008_is_content_with_a_worker_that_takes_the_queue(self, waiting, queues):
        self.worker(["default"], queues)

        assert self.found() == []

    def test_w008_gives_a_worker_some_time(self, waiting):
        Upload.objects.update(created_at=timezone.now())

        assert self.found() == []

    def test_w008_has_nothing_to_say_of_a_job_that_runs_or_is_tried_later(
        self, waiting
    ):
        Job.objects.update(state="SCHEDULED")

        assert self.found() == []

    @pytest.mark.parametrize("databases", [None, [], ["other"]])
    def test_w008_asks_the_database_only_when_told(
        self, waiting, databases, django_assert_num_queries
    ):
        with django_assert_num_queries(0):
            assert self.found(databases) == []

    def test_w008_is_said_by_check_database(self, waiting, capsys):
        call_command("check", databases=["default"])

        assert "dbqueue.W008" in capsys.readouterr().err

    def test_w008_is_silent_before_the_tables_are_there(self, waiting, monkeypatch):
        monkeypatch.setattr(Upload._meta, "db_table", "not_yet")

        assert self.found() == []
