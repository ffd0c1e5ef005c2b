"""Models that are saved with a file: what is written, when, and what is not."""

import copy

import pytest
from django.core import serializers
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.db.models.signals import post_save

from dbqueue.exceptions import UploadError
from dbqueue.fields import AsyncFileField, AsyncFileInputData, acting, attach
from dbqueue.fields.models import FieldUpload
from dbqueue.models import Job, Upload, UploadArtifact, UploadChunk
from dbqueue.testing import run_jobs
from dbqueue.uploads.display.pending import prefetch_uploads
from dbqueue.uploads.sweep.cleanup import Sweep
from tests.album.models import Album, Song
from tests.fields.conftest import (
    BOOKLET,
    COVER,
    SHEET,
    TAKE,
    Sender,
    picture,
    stored,
)

pytestmark = pytest.mark.django_db

BOTH = pytest.mark.parametrize("field", [SHEET, BOOKLET], ids=["database", "folder"])
MP3 = b"ID3" + b"\0" * 50


def sent(sender, field, content=b"Dear all", name="notes.txt", **more):
    found = sender.send(field, content, name, **more)
    return AsyncFileInputData(found["key"], found["name"])


def made(field, value):
    model = field.model(**{field.name: value})
    model.save()
    return model


def held(instance, field):
    rows = type(instance).objects.filter(pk=instance.pk)
    return rows.values_list(field.attname, flat=True).get()


def sweep():
    """Sweep up what is left, as if hours had passed."""
    UploadArtifact.objects.filter(state="PURGE").update(
        purge_after="2020-01-01T00:00:00Z"
    )
    Sweep("default").run()


class TestASave:
    @BOTH
    def test_a_file_comes_into_its_field_when_its_job_has_run(
        self, sender, as_ada, field
    ):
        instance = made(field, sent(sender, field))

        assert not held(instance, field)
        assert not getattr(instance, field.name)
        assert getattr(instance, field.name).pending.state == "STORED"
        run_jobs()

        instance.refresh_from_db()
        file = getattr(instance, field.name)
        assert file.read() == b"Dear all"
        assert file.name.startswith(field.upload_to or "notes-")
        assert file.pending is None
        sweep()
        assert stored() == {file.name}
        assert not UploadChunk.objects.exists()

    def test_a_picture_is_measured_by_the_worker(self, sender, as_ada):
        data = sent(sender, COVER, picture(), "a.png")
        data.width, data.height = 7, 9
        album = made(COVER, data)

        assert (album.cover_width, album.cover_height) == (None, None)
        run_jobs()

        album.refresh_from_db()
        assert (album.cover_width, album.cover_height) == (16, 12)
        names = {name.rpartition("-")[2] for name in stored()}
        assert names == {"1.png", "thumb.webp"}

    def test_a_save_that_is_rolled_back_leaves_the_file_for_the_next(
        self, sender, as_ada
    ):
        for field in (SHEET, BOOKLET):
            data = sent(sender, field)
            before = stored()

            with transaction.atomic():
                made(field, data)
                transaction.set_rollback(True)

            assert stored() == before
            again = made(field, AsyncFileInputData(data.key, data.name))
            run_jobs()
            again.refresh_from_db()
            assert getattr(again, field.name).read() == b"Dear all"

    def test_an_uploaded_file_goes_to_the_worker_too(self, db):
        song = Song(sheet=SimpleUploadedFile("a.txt", b"la la"))

        song.save()

        assert stored() == set()
        assert held(song, SHEET) == ""
        run_jobs()
        song.refresh_from_db()
        assert song.sheet.read() == b"la la"

    def test_a_file_without_a_name_is_refused(self, db):
        with pytest.raises(Exception, match="has no name"):
            Song(sheet=ContentFile(b"la")).save()

    def test_the_old_file_is_shown_until_the_new_one_is_there(self, sender, as_ada):
        song = made(SHEET, SimpleUploadedFile("old.txt", b"old"))
        run_jobs()
        song = Song.objects.get()
        old = song.sheet.name

        song.sheet = sent(sender, SHEET, b"new", instanceId=song.pk)
        song.save()

        assert (song.sheet.name, held(song, SHEET)) == (old, old)
        run_jobs()
        song.refresh_from_db()
        assert song.sheet.read() == b"new"

    def test_a_save_of_what_was_read_before_does_not_undo_what_a_worker_brought(
        self, sender, as_ada
    ):
        song = made(SHEET, sent(sender, SHEET))
        early = Song.objects.get()
        run_jobs()
        brought = held(song, SHEET)

        early.album = Album.objects.create(title="First")
        early.save()

        assert brought
        assert held(song, SHEET) == brought
        assert Song.objects.get().album_id == early.album_id

    def test_what_is_assigned_is_written_all_the_same(self, db):
        song = Song.objects.create(sheet="a.txt")
        song = Song.objects.get()
        song.sheet = "b.txt"
        song.save()
        assert held(song, SHEET) == "b.txt"
        deferred = Song.objects.defer("sheet").get()
        deferred.sheet = "c.txt"
        deferred.save()
        assert held(song, SHEET) == "c.txt"
        made = Song(pk=song.pk, sheet="d.txt")
        made.save()
        assert held(song, SHEET) == "d.txt"
        made._state.adding = False
        other = Song(pk=song.pk, sheet="e.txt")
        other._state.adding = False
        other.save()
        assert held(song, SHEET) == "e.txt"

    def test_a_copy_under_another_key_has_the_name(self, db):
        Song.objects.create(sheet="a.txt")
        other = Song.objects.create(sheet="b.txt")
        song = Song.objects.get(sheet="a.txt")

        song.pk = other.pk
        song.save()

        assert held(other, SHEET) == "a.txt"

    def test_a_deferred_field_can_be_given_a_file(self, sender, as_ada):
        Song.objects.create(sheet="a.txt")
        song = Song.objects.defer("sheet").get()

        song.sheet = sent(sender, SHEET, instanceId=song.pk)
        song.save()

        assert held(song, SHEET) == "a.txt"
        run_jobs()
        assert Song.objects.get().sheet.read() == b"Dear all"

    def test_only_the_fields_that_are_updated_hand_over_their_file(
        self, sender, as_ada
    ):
        album = Album.objects.create(title="First")
        album.booklet = sent(sender, BOOKLET, instanceId=album.pk)

        album.save(update_fields=["title"])
        assert not Job.objects.exists()
        album.save(update_fields=["booklet"])

        assert Job.objects.count() == 1

    def test_a_field_that_was_emptied_stays_empty(self, sender, as_ada):
        album = Album.objects.create(title="First")
        album.booklet = sent(sender, BOOKLET, instanceId=album.pk)
        album.save()

        album.booklet = None
        album.save()
        run_jobs()

        assert not held(album, BOOKLET)
        assert Upload.objects.get().state == "SUPERSEDED"
        sweep()
        assert stored() == set()

    def test_a_row_that_was_deleted_takes_its_file_with_it(self, sender, as_ada):
        for field in (SHEET, BOOKLET):
            made(field, sent(sender, field)).delete()

        run_jobs()
        sweep()

        assert stored() == set()
        assert not UploadChunk.objects.exists()

    def test_a_replaced_file_is_deleted_where_that_is_wished(self, db):
        song = Song(sheet="a.txt", take=SimpleUploadedFile("take.mp3", MP3))
        song.save()
        song.take = SimpleUploadedFile("take.mp3", MP3 + b"more")
        song.save()
        assert len(stored()) == 2

        sweep()

        assert stored() == {song.take.name}

    def test_inline_is_done_when_save_returns(self, sender, as_ada):
        data = sent(sender, TAKE, MP3, "take.mp3")

        song = Song.objects.create(sheet="a.txt", take=data)

        assert song.take.read() == MP3
        assert held(song, TAKE) == song.take.name
        assert not Job.objects.exists()
        song.save()
        assert held(song, TAKE) == song.take.name

    def test_inline_goes_to_the_queue_when_the_storage_fails(self, db, monkeypatch):
        def fail(*args, **kwargs):
            raise OSError("disk")

        with monkeypatch.context() as patch:
            patch.setattr(FileSystemStorage, "save", fail)
            Song.objects.create(sheet="a.txt", take=SimpleUploadedFile("take.mp3", MP3))
        assert Job.objects.count() == 1

        run_jobs()

        assert Song.objects.get().take.read() == MP3


class TestAroundSave:
    def test_nothing_pending_costs_nothing(self, db, django_assert_num_queries):
        album = Album.objects.create(title="First")
        with django_assert_num_queries(1):
            album.save(update_fields=["title"])
        with django_assert_num_queries(1):
            album.save()
        with django_assert_num_queries(1):
            Album.objects.create(title="Second", booklet="a.pdf")

    def test_a_save_is_one_save(self, sender, as_ada):
        heard = []

        def hear(**kwargs):
            heard.append(kwargs["created"])

        post_save.connect(hear, sender=Song)
        made(SHEET, sent(sender, SHEET))
        run_jobs()
        post_save.disconnect(hear, sender=Song)

        assert heard == [True]

    def test_a_page_of_fifty_costs_one_query(self, db, django_assert_num_queries):
        for number in range(50):
            Song.objects.create(sheet=SimpleUploadedFile(f"{number}.txt", b"la"))
        songs = list(Song.objects.all())

        with django_assert_num_queries(1):
            prefetch_uploads(songs, "sheet")
            states = {song.sheet.pending.state for song in songs}

        assert states == {"STORED"}

    def test_bulk_create_writes_no_dead_name_and_attach_hands_over(
        self, sender, as_ada
    ):
        songs = Song.objects.bulk_create(
            [Song(sheet=sent(sender, SHEET)), Song(sheet="b.txt")]
        )
        assert set(Song.objects.values_list("sheet", flat=True)) == {"", "b.txt"}
        assert not Job.objects.exists()

        (handle,) = attach(songs)
        run_jobs()

        handle.refresh()
        assert handle.state == "DONE"
        first = Song.objects.get(pk=songs[0].pk)
        assert first.sheet.read() == b"Dear all"

    def test_update_refuses_what_is_not_stored(self, sender, as_ada):
        song = Song.objects.create(sheet="a.txt")
        data = sent(sender, SHEET)

        for value in (data, data.key, SimpleUploadedFile("a.txt", b"x")):
            with (
                pytest.raises(UploadError, match="Assign it and save"),
                transaction.atomic(),
            ):
                Song.objects.update(sheet=value)
        song.sheet = data
        with (
            pytest.raises(UploadError, match="Assign it and save"),
            transaction.atomic(),
        ):
            Song.objects.bulk_update([song], ["sheet"])
        Song.objects.update(sheet="b.txt")

        assert held(song, SHEET) == "b.txt"

    def test_a_key_that_is_assigned_as_text_brings_its_file(self, sender, as_ada):
        song = made(SHEET, sent(sender, SHEET).key)
        run_jobs()

        song.refresh_from_db()
        assert song.sheet.read() == b"Dear all"

    def test_a_migration_names_a_fields_own_class(self, db):
        class OwnField(AsyncFileField):
            pass

        assert SHEET.deconstruct()[1] == "dbqueue.fields.AsyncFileField"
        assert OwnField().deconstruct()[1].startswith(f"{__name__}.")

    def test_a_fixture_brings_names_alone(self, db):
        song = Song.objects.create(sheet="a.txt")
        text = serializers.serialize("json", [song])
        Song.objects.all().delete()

        for loaded in serializers.deserialize("json", text):
            loaded.save()

        assert Song.objects.get().sheet.name == "a.txt"
        assert not Upload.objects.exists()

    def test_a_copied_instance_shares_the_name_and_the_sweep_keeps_the_object(self, db):
        song = Song.objects.create(
            sheet="a.txt", take=SimpleUploadedFile("take.mp3", MP3)
        )
        twin = copy.copy(song)
        twin.pk, twin._state.adding = None, True
        twin.save()
        assert twin.take.name == song.take.name

        song.take = SimpleUploadedFile("other.mp3", MP3)
        song.save()
        sweep()

        assert stored() == {song.take.name, twin.take.name}

    def test_a_file_can_be_saved_once(self, sender, as_ada):
        data = sent(sender, SHEET)
        made(SHEET, data)

        with pytest.raises(UploadError, match="used already"):
            made(SHEET, data)
        with pytest.raises(ValidationError, match="used already"):
            Song(sheet=AsyncFileInputData(data.key, data.name))

    def test_uploads_that_expired_are_swept_up(self, sender, as_ada):
        for field in (SHEET, BOOKLET):
            data = sent(sender, field)
            Upload.objects.update(expires_at="2020-01-01T00:00:00Z")
            with pytest.raises(ValidationError, match="has expired"):
                made(field, data)

        Sweep("default").run()

        assert stored() == set()
        assert not Upload.objects.exists()
        assert not FieldUpload.objects.exists()
        assert not UploadArtifact.objects.exists()

    def test_the_sweep_keeps_an_object_that_a_field_refers_to(self, sender, as_ada):
        sender.send(BOOKLET)
        (name,) = stored()
        Album.objects.create(title="First", booklet=name)
        Upload.objects.update(expires_at="2020-01-01T00:00:00Z")

        Sweep("default").run()

        assert stored() == {name}


class TestWhoseItIs:
    def test_another_users_file_is_refused(self, sender, bob, request_of):
        data = sent(sender, SHEET)

        with acting(request_of(bob)), pytest.raises(ValidationError, match="not known"):
            Song(sheet=data)

    def test_a_file_for_another_field_is_refused(self, sender, as_ada):
        data = sent(sender, SHEET)

        with pytest.raises(ValidationError, match="another field"):
            Album(booklet=data)

    def test_a_file_for_another_object_is_refused(self, sender, as_ada):
        first, second = (Album.objects.create(title=name) for name in "ab")
        data = sent(sender, BOOKLET, instanceId=first.pk)

        with pytest.raises(ValidationError, match="another object"):
            second.booklet = data
        with pytest.raises(ValidationError, match="another object"):
            Album(booklet=data)

    def test_whoever_may_create_may_not_replace(self, db, ada, request_of, monkeypatch):
        monkeypatch.setattr(SHEET, "perm_update", lambda request, instance: False)
        song = Song.objects.create(sheet="a.txt")
        data = sent(Sender(ada), SHEET)

        with (
            acting(request_of(ada)),
            pytest.raises(ValidationError, match="not replace"),
        ):
            song.sheet = data

    @pytest.mark.parametrize(
        "key",
        [
            "async-temp-files/none",
            "async-temp-files/../../etc/passwd",
            "other.txt",
            "",
            "async-temp-files/",
        ],
    )
    def test_a_key_that_is_none_is_refused(self, as_ada, key):
        with pytest.raises(ValidationError):
            Song(sheet=AsyncFileInputData(key, "a.txt"))

    def test_without_a_request_it_is_told_what_is_missing(self, sender):
        data = sent(sender, SHEET)

        with pytest.raises(ImproperlyConfigured, match="UploadFieldsMiddleware"):
            Song(sheet=data)

    def test_an_anonymous_session_keeps_its_file_when_it_logs_in(self, ada):
        browser = Sender()
        found = browser.send(SHEET)
        browser.client.force_login(ada)

        assert browser.client.get(found["statusUrl"]).status_code == 200
        assert Sender(ada).client.get(found["statusUrl"]).status_code == 403
