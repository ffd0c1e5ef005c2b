"""Uploads from the call in a view to the field of the model."""

import hashlib
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models, transaction
from django.db.models import F
from django.db.models.fields.files import FieldFile
from django.utils import timezone

from dbqueue import jobs
from dbqueue.exceptions import (
    Cancel,
    ContentRejected,
    InstanceNotSaved,
    UploadEmpty,
    UploadError,
    UploadFieldUnknown,
    UploadFieldUnsupported,
    UploadIncomplete,
    UploadPending,
    UploadQuotaExceeded,
    UploadTooLarge,
)
from dbqueue.ids import uuid7
from dbqueue.imaging.policy import FilePolicy
from dbqueue.maintenance.expire import expire
from dbqueue.maintenance.rescue import rescue_orphans
from dbqueue.models import (
    FinishedJob,
    Job,
    JobRecord,
    Upload,
    UploadArtifact,
    UploadChunk,
    Worker,
)
from dbqueue.testing import run_jobs
from dbqueue.uploads import save_file, save_image
from dbqueue.uploads.intake.fields import check_field
from dbqueue.uploads.intake.received import ReceivedFile
from dbqueue.uploads.signals import (
    upload_promoted,
    upload_stored,
    upload_superseded,
)
from dbqueue.uploads.sweep.cleanup import Sweep
from tests.gallery.models import Artist, Fan, Paper, PastProfile, Profile, saved
from tests.imaging.pictures import data, quarters
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def storage(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)
    saved.clear()
    return default_storage


@pytest.fixture
def profile():
    return Profile.objects.create(name="Ada")


@pytest.fixture
def refuse(monkeypatch):
    def refuse(how):
        def save(self, name, content, max_length=None):
            if how is None:
                return None
            raise how

        monkeypatch.setattr(FileSystemStorage, "save", save)

    return refuse


def a_file(content=b"Dear all", name="letter.txt", field_name="letter"):
    file = SimpleUploadedFile(name, content)
    file.field_name = field_name
    return file


def stored_files(storage, folder=""):
    folders, files = storage.listdir(folder) if storage.exists(folder) else ([], [])
    found = {f"{folder}/{name}".lstrip("/") for name in files}
    for name in folders:
        found |= stored_files(storage, f"{folder}/{name}".lstrip("/"))
    return found


class TestASavedFile:
    def test_a_saved_file_reaches_the_field_when_its_job_has_run(
        self, profile, storage
    ):
        handle = save_file(a_file(), profile)
        assert (handle.state, handle.progress) == ("STORED", 0)
        profile.refresh_from_db()
        assert not profile.letter

        run_jobs()

        handle.refresh()
        profile.refresh_from_db()
        assert (handle.state, handle.progress, handle.error) == ("DONE", 100, None)
        assert profile.letter.read() == b"Dear all"
        assert profile.letter.name == handle.name
        assert profile.letter.name.startswith("letters/letter-")
        assert profile.letter.name.endswith("-1.txt")
        assert not UploadChunk.objects.exists()
        assert FinishedJob.objects.get().result == {"state": "DONE"}

    def test_a_saved_file_of_many_pieces_arrives_whole(self, profile):
        content = bytes(range(256)) * 4 * 1024 + b"the end"
        save_file(a_file(content), profile)
        assert UploadChunk.objects.count() == 5

        run_jobs()

        profile.refresh_from_db()
        assert profile.letter.read() == content

    def test_a_saved_file_is_read_from_its_beginning_even_if_it_was_read_before(
        self, profile
    ):
        file = a_file()
        file.read()
        save_file(file, profile)

        run_jobs()

        profile.refresh_from_db()
        assert profile.letter.read() == b"Dear all"

    def test_a_saved_file_is_written_with_the_caller_or_not_at_all(self, profile):
        with transaction.atomic():
            save_file(a_file(), profile)
            transaction.set_rollback(True)

        assert not Upload.objects.exists()
        assert not UploadChunk.objects.exists()
        assert not Job.objects.exists()

    def test_a_saved_file_leaves_the_other_columns_alone(self, profile):
        save_file(a_file(), profile)
        Profile.objects.update(name="Ada Lovelace", visits=7)

        run_jobs()

        profile.refresh_from_db()
        assert (profile.name, profile.visits) == ("Ada Lovelace", 7)
        assert profile.letter
        assert saved == [("Profile", None)]

    def test_a_saved_file_can_be_saved_through_the_models_own_save(self, profile):
        save_file(a_file(), profile, save_mode="save")

        run_jobs()

        assert saved[1:] == [("Profile", frozenset({"letter"}))]

    @pytest.mark.parametrize("form_name", ["letter", "form-0-letter", "a-b-letter"])
    def test_a_saved_file_finds_its_field_by_the_name_in_the_form(
        self, form_name, profile
    ):
        save_file(a_file(field_name=form_name), profile)

        assert Upload.objects.get().field_name == "letter"

    def test_a_saved_file_takes_the_only_field_if_the_form_did_not_tell(self):
        paper = Paper.objects.create()
        save_file(a_file(field_name=None), paper)

        run_jobs()

        paper.refresh_from_db()
        assert paper.document.read() == b"Dear all"

    def test_a_saved_file_has_a_new_name_whatever_upload_to_says(self, storage):
        paper = Paper.objects.create()
        for content in (b"one", b"two"):
            save_file(a_file(content), paper, "document")
            run_jobs()

        assert len(stored_files(storage, "papers")) == 2
        assert all(
            name.startswith(f"papers/{paper.pk}-") for name in stored_files(storage)
        )

    def test_a_saved_file_of_a_child_or_a_proxy_reaches_the_parents_table(self):
        artist, fan = Artist.objects.create(), Fan.objects.create()
        save_file(a_file(b"artist"), artist)
        save_file(a_file(b"fan"), fan, save_mode="save")

        run_jobs()

        artist.refresh_from_db()
        fan.refresh_from_db()
        assert (artist.letter.read(), fan.letter.read()) == (b"artist", b"fan")

    def test_a_saved_file_cleans_the_name_it_came_with(self, profile):
        save_file(a_file(name="../../e\u202etc/pass\x00wd .txt"), profile)

        run_jobs()

        profile.refresh_from_db()
        assert profile.letter.name.startswith("letters/passwd_-")

    def test_a_saved_file_with_a_long_name_fits_into_the_column(self, profile):
        save_file(a_file(name="x" * 300 + ".txt"), profile)

        run_jobs()

        profile.refresh_from_db()
        assert len(profile.letter.name) == 100
        assert profile.letter.read() == b"Dear all"

    def test_a_cache_is_cleared_by_a_receiver_after_the_commit_of_a_saved_file(
        self, profile, django_capture_on_commit_callbacks
    ):
        cache.set_many({"a": 1, "b": 2})

        def forget(sender, upload, **kwargs):
            cache.delete("a")

        upload_promoted.connect(forget)
        try:
            save_file(a_file(), profile)
            with django_capture_on_commit_callbacks(execute=True):
                run_jobs()
                assert cache.get("a") == 1
        finally:
            upload_promoted.disconnect(forget)
        assert cache.get_many(["a", "b"]) == {"b": 2}

    def test_a_saved_file_is_announced_after_the_commit(
        self, profile, django_capture_on_commit_callbacks
    ):
        calls = []

        def hear(signal, sender, upload, **kwargs):
            calls.append((signal, sender, upload.state))

        with ExitStack() as stack:
            for signal in (upload_stored, upload_promoted, upload_superseded):
                signal.connect(hear)
                stack.callback(signal.disconnect, hear)
            with django_capture_on_commit_callbacks(execute=True):
                save_file(a_file(), profile)
            with django_capture_on_commit_callbacks(execute=True):
                save_file(a_file(), profile)
            with django_capture_on_commit_callbacks(execute=True):
                run_jobs()

        assert calls == [
            (upload_stored, Profile, "STORED"),
            (upload_superseded, Profile, "SUPERSEDED"),
            (upload_stored, Profile, "STORED"),
            (upload_promoted, Profile, "DONE"),
        ]


class TestARefusedFile:
    @pytest.mark.parametrize(
        ("file", "field_name", "error", "words"),
        [
            (a_file(field_name="photo"), None, UploadFieldUnknown, "no FileField 'x'"),
            (a_file(field_name=None), None, UploadFieldUnknown, "Give field_name"),
            (a_file(b""), "letter", UploadEmpty, "'letter.txt' is empty"),
            (a_file(b"x" * 1001), "letter", UploadTooLarge, "larger than 0.001 MB"),
            (a_file(b"MZ\x90\x00"), "letter", ContentRejected, "not accepted here"),
            ("letter.txt", "letter", UploadError, "is not a file"),
        ],
    )
    def test_a_refused_file_says_why_and_leaves_nothing(
        self, file, field_name, error, words, profile
    ):
        if error is UploadFieldUnknown and field_name is None and "'x'" in words:
            file.field_name = "x"
        with pytest.raises(error, match=words) as caught:
            save_file(
                file,
                profile,
                field_name,
                policy=FilePolicy(max_size=1000, types=[".txt"]),
            )

        assert isinstance(caught.value, ValueError)
        assert not Upload.objects.exists()
        assert not UploadChunk.objects.exists()

    def test_a_file_for_a_row_that_is_not_there_is_refused(self, profile):
        with pytest.raises(InstanceNotSaved, match="has no primary key"):
            save_file(a_file(), Profile())
        profile.pk = 4711
        with pytest.raises(InstanceNotSaved, match="is not in database"):
            save_file(a_file(), profile)
        assert not UploadChunk.objects.exists()

    def test_a_file_that_is_shorter_than_it_says_is_refused(self, profile):
        file = a_file()
        file.size = 9
        with pytest.raises(
            UploadIncomplete, match="file of 9 bytes, only 8 could be read"
        ):
            save_file(file, profile)
        file.close()
        with pytest.raises(UploadIncomplete, match="could not be read"):
            save_file(file, profile)
        assert not UploadChunk.objects.exists()

    @pytest.mark.parametrize(
        "limits",
        [
            {"BYTES": 10},
            {"BYTES_PER_OWNER": 10},
            {"COUNT_PER_OWNER": 1},
        ],
    )
    def test_a_file_over_the_quota_is_refused(self, limits, profile, settings):
        settings.DBQUEUE = {"UPLOADS": limits}
        save_file(a_file(), profile, owner="ada")

        with pytest.raises(UploadQuotaExceeded, match=next(iter(limits))):
            save_file(a_file(), Profile.objects.create(), owner="ada")

        assert Upload.objects.count() == 1

    def test_no_file_is_refused_for_the_bytes_it_has_in_the_database_already(
        self, profile, settings
    ):
        settings.DBQUEUE = {"UPLOADS": {"BYTES": 8}}
        received = Upload.objects.create(
            state="RECEIVING",
            is_image=False,
            filename="letter.txt",
            size=8,
            sha256=hashlib.sha256(b"Dear all").hexdigest(),
            chunk_size=8,
            chunk_count=1,
            created_at=timezone.now(),
        )
        UploadChunk.objects.create(upload=received, position=0, data=b"Dear all")

        handle = save_file(ReceivedFile(received, "letter"), profile)
        run_jobs()

        profile.refresh_from_db()
        assert handle.id == received.pk
        assert profile.letter.read() == b"Dear all"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"save_mode": "saev"},
            {"on_conflict": "never"},
            {"replaced": "burn"},
            {"on_conflict": "keep_first"},
        ],
    )
    def test_a_file_with_an_option_that_is_none_is_refused(self, wrong, profile):
        with pytest.raises(UploadError, match=next(iter(wrong))):
            save_file(a_file(), profile, **wrong)


class TestTwoAtOnce:
    def test_of_two_uploads_at_once_the_later_wins(self, profile, storage):
        first, second = (save_file(a_file(c), profile) for c in (b"first", b"second"))

        run_jobs()

        first.refresh()
        second.refresh()
        profile.refresh_from_db()
        assert (first.state, second.state) == ("SUPERSEDED", "DONE")
        assert profile.letter.read() == b"second"
        assert len(stored_files(storage)) == 1

    def test_of_two_uploads_at_once_the_later_may_be_an_error(self, profile):
        save_file(a_file(), profile)

        with pytest.raises(
            UploadPending, match=r"'letter\.txt' is pending for the same field"
        ):
            save_file(a_file(), profile, on_conflict="error")
        assert Upload.objects.count() == 1

    def test_a_change_of_the_field_in_the_meantime_wins_over_an_upload(
        self, profile, storage
    ):
        handle = save_file(a_file(), profile)
        profile.letter.save("own.txt", ContentFile(b"own"))

        run_jobs()

        handle.refresh()
        profile.refresh_from_db()
        assert handle.state == "SUPERSEDED"
        assert profile.letter.read() == b"own"
        sweep_all()
        assert stored_files(storage) == {"letters/own.txt"}

    def test_a_row_that_is_deleted_before_its_file_is_saved_frees_the_bytes(
        self, profile, storage
    ):
        handle = save_file(a_file(), profile)
        profile.delete()

        run_jobs()

        handle.refresh()
        assert handle.state == "SUPERSEDED"
        assert not UploadChunk.objects.exists()
        assert not stored_files(storage)

    def test_who_saved_the_row_without_a_change_to_the_field_stops_no_upload(
        self, profile
    ):
        Profile.objects.update(banner=None)
        profile.refresh_from_db()
        file = SimpleUploadedFile("b.png", data(quarters(), "PNG"))
        handle = save_image(file, profile, "banner")
        profile.save()  # which makes "" of NULL

        run_jobs()

        handle.refresh()
        assert handle.state == "DONE"


@pytest.mark.django_db(databases=["default", "other"])
class TestWithAReplica:
    """The router of Django's documentation; "other" stands for one without a row."""

    class Router:
        def db_for_read(self, model, **hints):
            return "other"

        def db_for_write(self, model, **hints):
            return "default"

    @pytest.fixture(autouse=True)
    def router(self, settings):
        settings.DATABASE_ROUTERS = [self.Router()]

    def test_with_a_replica_a_row_that_was_read_there_is_written_where_writes_go(
        self, profile
    ):
        profile._state.db = "other"
        handle = save_file(a_file(), profile)

        run_jobs()

        handle.refresh()
        assert (handle.state, handle.database) == ("DONE", "default")

    def test_with_a_replica_an_upload_can_be_ended(self, profile):
        assert save_file(a_file(), profile).cancel()


class Denied(Exception):
    response = {"Error": {"Code": "AccessDenied"}}


class TestAStorageThatRefuses:
    @pytest.mark.parametrize(
        "how", [PermissionError(13, "No"), TypeError("max_length"), Denied("403"), None]
    )
    def test_a_storage_that_refuses_for_good_ends_the_upload_at_once(
        self, profile, refuse, how
    ):
        handle = save_file(a_file(), profile)
        refuse(how)

        run_jobs(scheduled=True)

        handle.refresh()
        job = FinishedJob.objects.get()
        assert (handle.state, job.state, job.failures) == ("FAILED", "FAILED", 1)
        assert UploadChunk.objects.exists()

    def test_a_storage_that_is_down_is_tried_again_for_a_day(self, profile, refuse):
        handle = save_file(a_file(), profile)
        refuse(ConnectionError("down"))

        run_jobs(scheduled=True)

        handle.refresh()
        assert (handle.state, FinishedJob.objects.get().failures) == ("FAILED", 8)
        assert UploadChunk.objects.exists()


class TestAFieldThatNoUploadCanBeSavedTo:
    @pytest.fixture
    def field(self):
        return Profile._meta.get_field("letter")

    def test_a_field_whose_files_save_themselves_is_refused(
        self, profile, field, monkeypatch
    ):
        class Resizing(FieldFile):
            def save(self, name, content, save=True):
                return super().save(name, content, save)

        monkeypatch.setattr(field, "attr_class", Resizing)

        with pytest.raises(UploadFieldUnsupported, match="variants=…"):
            save_file(a_file(), profile, save_mode="save")
        assert not Upload.objects.exists()

    def test_a_field_that_prepares_itself_is_saved_by_the_models_save_alone(self):
        class Preparing(models.FileField):
            def pre_save(self, instance, add):
                return super().pre_save(instance, add)

        field = Preparing()

        with pytest.raises(UploadFieldUnsupported, match='Pass save_mode="save"'):
            check_field(field, Profile(), (), "update")
        check_field(field, Profile(), (), "save")

    def test_a_field_too_short_for_any_name_is_refused(
        self, profile, field, monkeypatch
    ):
        monkeypatch.setattr(field, "max_length", 20)

        with pytest.raises(UploadFieldUnsupported, match="Raise max_length"):
            save_file(a_file(), profile)

    def test_a_field_just_long_enough_for_a_name_gets_one(
        self, profile, field, monkeypatch
    ):
        monkeypatch.setattr(field, "max_length", len("letters/u-0123456789ab-99.webp"))

        handle = save_file(a_file(), profile)
        run_jobs()

        handle.refresh()
        assert handle.state == "DONE"


class TestTheHandle:
    def test_the_handle_of_an_upload_cancels_what_waits(self, profile):
        handle = save_file(a_file(), profile)

        assert handle.cancel()
        assert not handle.cancel()
        assert (handle.state, handle.is_pending) == ("CANCELLED", False)
        assert not UploadChunk.objects.exists()
        run_jobs()
        profile.refresh_from_db()
        assert not profile.letter

    def test_the_handle_of_an_upload_does_not_wait_inside_a_transaction(self, profile):
        with pytest.raises(RuntimeError, match="inside a transaction"):
            save_file(a_file(), profile).wait(1)

    def test_the_handle_of_an_upload_tries_again_what_failed(
        self, profile, settings, tmp_path
    ):
        handle = save_file(a_file(), profile)
        blocked(settings, tmp_path)
        run_jobs(scheduled=True)
        handle.refresh()
        assert (handle.state, handle.error.code) == ("FAILED", "failed")
        assert UploadChunk.objects.exists()

        settings.MEDIA_ROOT = str(tmp_path)
        assert handle.retry()
        run_jobs()

        handle.refresh()
        profile.refresh_from_db()
        assert (handle.state, handle.error) == ("DONE", None)
        assert profile.letter.read() == b"Dear all"
        assert not handle.retry()

    def test_the_handle_of_an_upload_does_not_try_again_beside_a_newer_one(
        self, profile, settings, tmp_path
    ):
        handle = save_file(a_file(), profile)
        blocked(settings, tmp_path)
        run_jobs(scheduled=True)
        Upload.objects.create(**newer_than(handle))

        with pytest.raises(UploadPending, match="a newer one is pending"):
            handle.retry()


class TestAJobThatEndsFromOutside:
    @pytest.mark.parametrize("end", ["cancel", "expire", "lose"])
    def test_its_upload_has_failed_at_once_and_its_bytes_are_kept(self, end, profile):
        handle = save_file(a_file(), profile)
        if end == "cancel":
            jobs.cancel(its_job(handle))
        elif end == "expire":
            Job.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
            expire("default")
        else:
            Job.objects.update(max_attempts=1)
            HandWorker().claim()
            Worker.objects.all().delete()
            rescue_orphans("default")

        handle.refresh()

        assert not Job.objects.exists()
        assert (handle.state, handle.error.code) == ("FAILED", "failed")
        assert "cancelled or lost" in handle.error.message
        assert UploadChunk.objects.exists()

    def test_a_retry_of_the_job_brings_the_upload_to_its_field(self, profile):
        handle = save_file(a_file(), profile)
        jobs.cancel(its_job(handle))

        jobs.retry(its_job(handle))
        run_jobs()

        handle.refresh()
        profile.refresh_from_db()
        assert (handle.state, handle.error) == ("DONE", None)
        assert profile.letter.read() == b"Dear all"

    def test_a_retry_beside_a_newer_upload_leaves_that_alone(self, profile):
        old = save_file(a_file(b"old"), profile)
        jobs.cancel(its_job(old))
        newer = save_file(a_file(b"new"), profile)

        jobs.retry(its_job(old))
        run_jobs()

        newer.refresh()
        profile.refresh_from_db()
        assert newer.state == "DONE"
        assert profile.letter.read() == b"new"

    def test_a_cancel_in_a_transaction_that_is_rolled_back_leaves_it_waiting(
        self, profile
    ):
        handle = save_file(a_file(), profile)

        with transaction.atomic():
            jobs.cancel(its_job(handle))
            transaction.set_rollback(True)

        handle.refresh()
        assert handle.is_pending

    def test_an_upload_that_is_being_saved_fails_with_the_cancel(self, profile, refuse):
        handle = save_file(a_file(), profile)
        refuse(Cancel())

        (result,) = run_jobs()

        handle.refresh()
        assert (result.state, handle.state) == ("CANCELLED", "FAILED")
        assert "cancelled" in handle.error.message


class TestTheSweep:
    def test_the_sweep_deletes_what_was_replaced_when_no_page_shows_it(
        self, profile, storage
    ):
        for content in (b"first", b"second"):
            save_file(a_file(content), profile)
            run_jobs()
        assert len(stored_files(storage)) == 2
        assert Sweep("default").run()["objects_deleted"] == 0  # not before an hour

        sweep_all()

        profile.refresh_from_db()
        assert stored_files(storage) == {profile.letter.name}

    def test_the_sweep_keeps_what_another_row_or_a_default_refers_to(self, storage):
        storage.save("papers/none.txt", ContentFile(b"none"))
        storage.save("papers/shared.txt", ContentFile(b"shared"))
        first, second = (
            Paper.objects.create(document=name)
            for name in ("papers/none.txt", "papers/shared.txt")
        )
        Paper.objects.create(document="papers/shared.txt")
        for paper in (first, second):
            save_file(a_file(), paper, "document", replaced="delete")
        run_jobs()

        sweep_all()

        assert {"papers/none.txt", "papers/shared.txt"} <= stored_files(storage)
        assert not UploadArtifact.objects.filter(state="PURGE").exists()

    def test_the_sweep_keeps_what_the_history_of_a_model_names(self, profile, storage):
        for content in (b"first", b"second", b"third"):
            save_file(a_file(content), profile)
            run_jobs()
            profile.refresh_from_db()
            if content != b"second":
                PastProfile.objects.create(letter=profile.letter.name)

        sweep_all()

        named = set(PastProfile.objects.values_list("letter", flat=True))
        assert stored_files(storage) == named

    @pytest.mark.parametrize(
        ("setting", "argument", "is_kept"),
        [
            (None, None, True),
            ("keep", None, True),
            ("delete", None, False),
            (None, "delete", False),
            ("delete", "keep", True),
        ],
    )
    def test_what_no_upload_had_stored_is_deleted_only_if_that_is_asked_for(
        self, profile, storage, settings, setting, argument, is_kept
    ):
        settings.DBQUEUE = {"UPLOADS": {"REPLACED": setting}}
        theirs = storage.save("letters/theirs.txt", ContentFile(b"by hand"))
        Profile.objects.update(letter=theirs)

        save_file(a_file(), profile, replaced=argument)
        run_jobs()
        sweep_all()

        assert storage.exists(theirs) == is_kept

    def test_what_an_upload_had_stored_is_kept_for_good_if_that_is_asked_for(
        self, profile, storage
    ):
        for replaced in (None, "keep", None):
            save_file(a_file(), profile, replaced=replaced)
            run_jobs()
            profile.refresh_from_db()
            last = profile.letter.name
        sweep_all()
        age()
        Sweep("default").run()

        # The second replaced the first and kept it; the third deleted the second.
        assert len(stored_files(storage)) == 2
        assert last in stored_files(storage)

    def test_the_sweep_deletes_what_failed_attempts_left(
        self, profile, storage, settings
    ):
        handle = save_file(a_file(), profile)
        artifact = UploadArtifact.objects.create(
            upload_id=handle.id, name="letters/left.txt", run="", state="PLANNED"
        )
        storage.save(artifact.name, ContentFile(b"half"))

        run_jobs()
        sweep_all()

        profile.refresh_from_db()
        assert stored_files(storage) == {profile.letter.name}

    def test_the_sweep_enqueues_again_an_upload_without_a_job(self, profile):
        save_file(a_file(), profile)
        Job.objects.all().delete()
        age()

        assert Sweep("default").is_due()
        assert Sweep("default").run()["jobs_repaired"] == 1
        run_jobs()

        profile.refresh_from_db()
        assert profile.letter
        assert not Sweep("default").is_due()

    def test_the_sweep_fails_an_upload_whose_job_was_lost_for_good(self, profile):
        handle = save_file(a_file(), profile)
        job = Job.objects.get()
        names = {f.attname for f in JobRecord._meta.fields}
        columns = {name: getattr(job, name) for name in names}
        FinishedJob.objects.create(
            **columns | {"state": "FAILED", "finished_at": job.enqueued_at}
        )
        Job.objects.all().delete()
        age()

        Sweep("default").run()

        handle.refresh()
        assert handle.state == "FAILED"
        assert UploadChunk.objects.exists()

    def test_the_sweep_deletes_records_whose_time_is_over(self, profile):
        save_file(a_file(), profile)
        run_jobs()
        age()

        Sweep("default").run()

        assert not Upload.objects.exists()
        assert not UploadArtifact.objects.exists()
        profile.refresh_from_db()
        assert profile.letter.read() == b"Dear all"


def test_saving_a_model_costs_no_query_more(profile, django_assert_num_queries):
    with django_assert_num_queries(1):
        profile.save()


def test_damaged_bytes_fail_at_once_and_say_so(profile):
    handle = save_file(a_file(), profile)
    UploadChunk.objects.update(data=b"Dear nobody")

    run_jobs(scheduled=True)

    handle.refresh()
    assert handle.state == "FAILED"
    record = FinishedJob.objects.get()
    assert (record.state, record.failures) == ("FAILED", 1)
    assert "has 11 of 8 bytes" in record.attempt_log[0]["message"]


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_a_model_in_another_database_is_reached_by_two_commits(storage):
    profile = Profile.objects.using("other").create()
    handle = save_file(a_file(), profile)
    run_jobs()

    handle.refresh()
    profile.refresh_from_db()
    assert handle.state == "DONE"
    assert profile.letter.read() == b"Dear all"


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_a_model_in_another_database_is_waited_for_until_it_has_committed(storage):
    with transaction.atomic(using="other"):
        profile = Profile.objects.using("other").create()
        handle = save_file(a_file(), profile)
        run_jobs()
        handle.refresh()
        assert (handle.state, handle.is_pending) == ("RECEIVING", True)

    run_jobs()

    handle.refresh()
    profile.refresh_from_db()
    assert handle.state == "DONE"
    assert profile.letter.read() == b"Dear all"


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_a_model_in_another_database_that_is_rolled_back_gets_no_file(storage):
    profile = Profile.objects.using("other").create()
    with transaction.atomic(using="other"):
        handle = save_file(a_file(), profile)
        transaction.set_rollback(True, using="other")

    run_jobs()
    age()
    Sweep("default").run()

    assert not Upload.objects.filter(pk=handle.id).exists()
    assert not UploadChunk.objects.exists()
    assert not stored_files(storage)


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_an_attempt_that_died_between_the_two_commits_is_completed(storage):
    profile = Profile.objects.using("other").create()
    handle = save_file(a_file(), profile)
    UploadArtifact.objects.create(
        upload_id=handle.id, name="letters/before.txt", run="before-1", state="PLANNED"
    )
    storage.save("letters/before.txt", ContentFile(b"Dear all"))
    Profile.objects.using("other").update(letter="letters/before.txt")
    Job.objects.update(attempt=1)

    run_jobs()

    handle.refresh()
    assert (handle.state, handle.name) == ("DONE", "letters/before.txt")
    sweep_all()
    assert stored_files(storage) == {"letters/before.txt"}


def blocked(settings, tmp_path):
    """Let the storage refuse everything: a file stands where its folder should be."""
    (tmp_path / "blocked").touch()
    settings.MEDIA_ROOT = str(tmp_path / "blocked")


def newer_than(handle):
    """Return the columns of an upload that waits for the same field."""
    row = Upload.objects.get(pk=handle.id)
    columns = {f.attname: getattr(row, f.attname) for f in Upload._meta.fields}
    return columns | {"id": uuid7(), "state": "STORED"}


def its_job(handle):
    return Upload.objects.get(pk=handle.id).job_id


def age():
    """Let a month go by for all that has a time."""
    month = timedelta(days=31)
    Upload.objects.update(
        created_at=F("created_at") - month,
        finished_at=F("finished_at") - month,
        expires_at=F("expires_at") - month,
    )
    UploadArtifact.objects.update(purge_after=F("purge_after") - month)


def sweep_all():
    """Sweep when all delays are over, but no record has expired."""
    UploadArtifact.objects.update(purge_after=F("purge_after") - timedelta(days=1))
    Upload.objects.update(finished_at=F("finished_at") - timedelta(days=1))
    return Sweep("default").run()
