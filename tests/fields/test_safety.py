"""What upload fields elsewhere got wrong, and what attackers try: none of it holds."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import F
from django.test import Client

from dbqueue.exceptions import TokenExpired
from dbqueue.fields import (
    AsyncFileField,
    AsyncFileInputData,
    FileSystemUploadStorage,
    acting,
    tokens,
)
from dbqueue.fields.model.fields import AsyncImageField
from dbqueue.fields.models import FieldUpload
from dbqueue.fields.receiving import Receiver
from dbqueue.models import Upload, UploadArtifact
from dbqueue.testing import run_jobs
from dbqueue.uploads.sweep.cleanup import Sweep
from tests.album.models import Album, Song
from tests.fields.conftest import (
    BOOKLET,
    COVER,
    SHEET,
    Sender,
    picture,
    stored,
)
from tests.fields.test_sending import FORM, allow, cut
from tests.fields.test_tus import headers
from tests.support.processes import ROOT, on_demand, once

pytestmark = [pytest.mark.django_db, once]
FILM = Song._meta.get_field("film")
BOTH = pytest.mark.parametrize("field", [SHEET, FILM], ids=["database", "folder"])
DOWNLOAD = "/uploads/download-file/"
_KEY = "django.db.models.BigAutoField"
_DJANGOS = ("django.contrib.auth", "django.contrib.contenttypes")
HTML = b"<!doctype html><script>alert(1)</script>"
# What each address of an upload is asked with.
ADDRESSES = {
    "upload": ("post", "/uploads/upload/{}/"),
    "status": ("get", "/uploads/status/{}/"),
    "cancel": ("post", "/uploads/cancel/{}/"),
    "preview": ("get", "/uploads/preview/{}/"),
    "complete": ("post", "/uploads/complete/{}/"),
    "tus": ("head", "/uploads/tus/{}/"),
    "download": ("get", "/uploads/file/{}/"),
}


class SongForm(forms.ModelForm):
    class Meta:
        model = Song
        fields = ("sheet", "film")


def data_of(found):
    return AsyncFileInputData(found["key"], found["name"])


def brought(field, sender, content=b"Dear all", name="notes.txt"):
    """Return a saved object whose file is in its field."""
    more = {} if field.model is Song else {"title": "First"}
    data = data_of(sender.send(field, content, name))
    instance = field.model.objects.create(**{field.name: data, **more})
    run_jobs()
    instance.refresh_from_db()
    return instance


def asked(client, field, instance):
    return client.get(
        DOWNLOAD, {"fieldId": field.async_field_id, "instanceId": instance.pk}
    )


class TestTokens:
    @pytest.mark.parametrize("purpose", ADDRESSES)
    def test_what_is_for_one_purpose_is_for_no_other(self, sender, purpose):
        sender.send(FILM)
        row = FieldUpload.objects.get()
        name = stored().pop()
        others = [tokens.sign(one, row) for one in tokens.PURPOSES if one != purpose]
        if purpose != "download":
            others.append(tokens.sign_name(name, FILM.async_field_id))
        method, address = ADDRESSES[purpose]

        for token in others:
            ask = getattr(sender.client, method)
            answer = ask(address.format(token), headers=headers())
            assert answer.status_code == 403

        assert FILM.storage.open(name).read() == b"Dear all"

    @pytest.mark.parametrize("purpose", ADDRESSES)
    def test_a_token_that_was_changed_or_is_too_old_is_for_nothing(
        self, sender, purpose, monkeypatch
    ):
        sender.send(FILM)
        row = FieldUpload.objects.get()
        of_object = purpose == "download"
        token = (
            tokens.sign_name("a.txt", FILM.async_field_id)
            if of_object
            else tokens.sign(purpose, row)
        )
        method, address = ADDRESSES[purpose]
        ask = getattr(sender.client, method)

        changed = ask(address.format(f"x{token}"), headers=headers())
        late = time.time() + settings.SESSION_COOKIE_AGE
        monkeypatch.setattr(time, "time", lambda: late)
        expired = ask(address.format(token), headers=headers())

        assert changed.status_code == 403
        # One who cancels is told that it is gone, as was wished.
        assert expired.status_code == (204 if purpose == "cancel" else 410)

    def test_a_key_is_saved_once_and_its_other_tokens_are_over_with_it(
        self, sender, as_ada
    ):
        sent = sender.send(SHEET)
        song = Song.objects.create(sheet=data_of(sent))

        assert sender.put(sent, b"something else").status_code == 409
        sender.client.post(sent["cancelUrl"])
        with pytest.raises(ValidationError, match="used already"):
            Song(sheet=data_of(sent))
        run_jobs()

        song.refresh_from_db()
        assert song.sheet.read() == b"Dear all"

    def test_who_may_no_longer_may_not_save_what_was_sent(self, db, request_of):
        user = User.objects.create_user("eve")
        allow(user, "add_album")
        sent = Sender(user).send(BOOKLET)
        user.user_permissions.clear()
        user = User.objects.get(pk=user.pk)

        with acting(request_of(user)), pytest.raises(ValidationError, match="may not"):
            Album(booklet=data_of(sent))


class TestSizes:
    @BOTH
    def test_a_form_without_scripts_has_the_same_limit(self, as_ada, field, settings):
        settings.DBQUEUE = {}
        before = field.upload_policy
        field.upload_policy = type(before)(max_size=1000, types=before.types)
        try:
            file = SimpleUploadedFile("a.txt", b"x" * 1001)
            form = SongForm({}, {field.name: file})
            assert "larger than" in form.errors[field.name][0]
        finally:
            field.upload_policy = before

        assert not FieldUpload.objects.exists()
        assert stored() == set()

    @BOTH
    def test_a_file_of_unknown_size_that_broke_off_is_not_saved(
        self, sender, as_ada, field
    ):
        begun = sender.begin(field)

        assert cut(begun["uploadUrl"]["url"], "POST", FORM + b"Dear", 500) == 409

        with pytest.raises(ValidationError, match="not complete"):
            Song(**{field.name: data_of(begun)})

    @BOTH
    def test_a_file_that_is_all_there_is_saved_though_nobody_looked_at_it(
        self, sender, as_ada, field
    ):
        """As when the process dies between the last byte and the look."""
        begun = sender.begin(field, size=8)
        row = FieldUpload.objects.select_related("upload").get()
        with Receiver(row) as receiver:
            receiver.restart()
            receiver.write(b"Dear all")

        song = Song.objects.create(**{field.name: data_of(begun)})
        run_jobs()

        song.refresh_from_db()
        assert getattr(song, field.name).read() == b"Dear all"

    def test_a_beginning_that_is_gone_is_not_made_up(self, sender, media):
        sender.begin(FILM, size=16)
        row = FieldUpload.objects.select_related("upload").get()
        with Receiver(row) as receiver:
            receiver.restart()
            receiver.write(b"Dear all")
        os.truncate(media / row.upload.held_as, 3)

        receiver = Receiver(row)
        receiver.resume(8)
        receiver.write(b"Dear all")
        with pytest.raises(TokenExpired, match="is gone"):
            receiver.flush()

    @pytest.mark.django_db(transaction=True)
    def test_a_new_begin_that_fails_does_not_lose_what_is_counted(
        self, sender, media, monkeypatch
    ):
        sender.begin(FILM, size=16)
        row = FieldUpload.objects.select_related("upload").get()
        with Receiver(row) as receiver:
            receiver.restart()
            receiver.write(b"Dear all")
        again = Receiver(FieldUpload.objects.select_related("upload").get())
        restart = again._place.restart

        def fail(upload):
            restart(upload)
            raise OSError("the process died")

        monkeypatch.setattr(again._place, "restart", fail)
        with pytest.raises(OSError, match="died"):
            again.restart()

        assert FieldUpload.objects.get().received == 8
        assert (media / row.upload.held_as).read_bytes() == b"Dear all"


class TestContent:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.png", HTML),
            ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>"),
            ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>"),
            ("a.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
            ("a.gif", b"8BPS\0\1"),
            ("a.png", b"II*\0"),
        ],
    )
    def test_what_is_no_picture_by_its_first_bytes_is_refused(
        self, sender, name, content
    ):
        answer = sender.issue(COVER, name)
        if answer.status_code == 200:
            answer = sender.put(answer.json(), content, name)

        assert answer.status_code == 400
        assert not FieldUpload.objects.exists()

    def test_what_only_begins_like_a_picture_never_reaches_the_field(
        self, sender, as_ada
    ):
        broken = picture()[:60] + b"x" * 500
        album = brought(COVER, sender, broken, "a.png")

        assert not album.cover
        assert Upload.objects.get().state == "REJECTED"
        Sweep("default").run()
        assert stored() == set()

    def test_what_hides_behind_a_picture_is_not_stored(self, sender, as_ada):
        hidden = picture() + b"<?php system('id');"

        album = brought(COVER, sender, hidden, "a.php.jpg")

        assert album.cover.name.endswith(".png")
        for name in stored():
            with COVER.storage.open(name) as file:
                assert b"<?php" not in file.read()

    @BOTH
    def test_a_page_is_handed_out_as_a_file_and_not_shown(self, sender, as_ada, field):
        song = brought(field, sender, HTML, "page.html")
        answer = asked(sender.client, field, song)
        assert answer.status_code == 302
        if field is SHEET:  # its storage's own address is the project's
            return

        file = Client().get(answer["Location"])

        assert b"".join(file.streaming_content) == HTML
        assert file["Content-Disposition"].startswith("attachment")
        assert file["Content-Type"] == "application/octet-stream"
        assert file["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in file["Content-Security-Policy"]

    @pytest.mark.parametrize(
        "field",
        [pytest.param(SHEET, marks=on_demand), FILM],
        ids=["database", "folder"],
    )
    @pytest.mark.parametrize(
        "name",
        [
            "../../../etc/passwd",
            "..\\..\\boot.ini",
            "/etc/shadow",
            "C:\\x.txt",
            "a\0b.txt",
            "a\r\nSet-Cookie: x.txt",
            "\u202etxt.exe",
            ".htaccess",
            "-rf.txt",
            "CON.txt",
            "...",
            " ",
            "x" * 400 + ".txt",
            "é" * 300,
            "async-temp-files/../../x.txt",
            "a/b/c.txt",
            "%2e%2e%2fx.txt",
        ],
    )
    def test_a_name_is_never_a_place(self, sender, as_ada, field, name, media):
        answer = sender.issue(field, name)
        if answer.status_code != 200:
            assert answer.status_code == 400
            return
        sent = answer.json()
        assert sender.put(sent, b"Dear all", name).status_code == 201
        song = Song.objects.create(**{field.name: data_of(sent)})
        run_jobs()

        song.refresh_from_db()
        kept = getattr(song, field.name).name
        assert getattr(song, field.name).read() == b"Dear all"
        assert len(kept) <= field.max_length
        assert not {"/", "\\", "\0", "\r", "\n", "\u202e"} & set(kept)
        assert not kept.startswith((".", "-"))
        assert (media / kept).resolve().parent == media.resolve()


class TestWhatIsStored:
    @BOTH
    def test_two_rows_with_files_of_one_name_have_two_objects(
        self, sender, as_ada, field
    ):
        first = brought(field, sender, b"first")
        second = brought(field, sender, b"second")

        assert getattr(first, field.name).read() == b"first"
        assert getattr(second, field.name).read() == b"second"

    @BOTH
    def test_a_bulk_create_that_nobody_attached_leaves_no_dead_name(
        self, sender, as_ada, field
    ):
        data = data_of(sender.send(field))
        Song.objects.bulk_create([Song(**{field.name: data})])
        Upload.objects.update(expires_at=F("expires_at") - timedelta(days=9))

        Sweep("default").run()

        assert getattr(Song.objects.get(), field.name).name == ""
        assert stored() == set()
        assert not UploadArtifact.objects.exists()

    def test_the_measures_of_one_picture_are_never_those_of_another(
        self, sender, bob, request_of, ada
    ):
        albums = []
        for user, size in ((ada, (11, 11)), (bob, (22, 7))):
            with acting(request_of(user)):
                sent = Sender(user).send(COVER, picture(size), "a.png")
                albums.append(Album(title=str(size), cover=data_of(sent)))
        for album, user in zip(albums[::-1], (bob, ada), strict=True):
            with acting(request_of(user)):
                album.save()
        run_jobs()

        found = Album.objects.values_list("title", "cover_width", "cover_height")
        assert set(found) == {("(11, 11)", 11, 11), ("(22, 7)", 22, 7)}

    def test_a_form_that_lacks_the_field_is_no_error_of_the_server(self, as_ada):
        for given in ({}, {"sheet": ""}, {"sheet": "null"}, {"sheet": "{}"}):
            form = SongForm(given)
            assert list(form.errors) == ["sheet"]
            assert "required" in form.errors["sheet"][0]


class TestDownloads:
    def test_who_may_see_an_object_may_have_its_file(self, sender, as_ada, bob):
        booklet = brought(BOOKLET, sender)
        eve = User.objects.create_user("eve")

        answer = asked(sender.client, BOOKLET, booklet)
        file = Client().get(answer["Location"])

        assert b"".join(file.streaming_content) == b"Dear all"
        assert asked(Sender(eve).client, BOOKLET, booklet).status_code == 403
        assert asked(Client(), BOOKLET, booklet).status_code == 403
        allow(eve, "view_album")
        assert asked(Sender(eve).client, BOOKLET, booklet).status_code == 302

    @pytest.mark.parametrize("pk", ["", "x", "0", "99999999999999999999", "\0", "1;"])
    def test_an_object_that_is_none_is_not_found(self, sender, pk):
        given = {"fieldId": SHEET.async_field_id, "instanceId": pk}

        assert sender.client.get(DOWNLOAD, given).status_code == 404

    def test_a_field_without_a_file_has_none(self, sender):
        song = Song.objects.create(sheet="")

        assert asked(sender.client, SHEET, song).status_code == 404

    def test_a_token_for_a_file_that_is_gone_is_not_found(self, sender):
        token = tokens.sign_name("../../etc/passwd", FILM.async_field_id)
        away = tokens.sign_name("none.txt", FILM.async_field_id)

        assert sender.client.get(f"/uploads/file/{away}/").status_code == 404
        assert sender.client.get(f"/uploads/file/{token}/").status_code in (400, 404)


class TestTheFieldsThemselves:
    def test_an_app_may_stand_before_dbqueue(self):
        """Its models are imported while those of dbqueue are not there yet."""
        apps = ("tests.album", *_DJANGOS, "dbqueue")
        words = f"INSTALLED_APPS={apps}, DEFAULT_AUTO_FIELD='{_KEY}'"
        script = (
            f"from django.conf import settings\nsettings.configure({words})\n"
            "import django\ndjango.setup()\n"
            "from tests.album.models import Album\nprint(Album._meta.label)"
        )

        run = [sys.executable, "-c", script]
        done = subprocess.run(
            run, cwd=ROOT, capture_output=True, text=True, check=False
        )

        assert done.stdout == "album.Album\n", done.stderr

    @pytest.mark.parametrize(
        ("kind", "more"),
        [
            (AsyncFileField, {"file_restrictions": ".csv", "policy": None}),
            (AsyncImageField, {"variants": {}, "suppress_pillow_check": True}),
        ],
    )
    def test_a_copy_of_a_field_is_as_the_field(self, kind, more):
        field = kind(
            upload_to="x",
            max_length=100,
            max_size=3,
            perm_create=None,
            perm_detail="album.view_album",
            move="inline",
            replaced="delete",
            queue_name="slow",
            priority=7,
            download_params={"expire": 5},
            storage=FileSystemUploadStorage(),
            **more,
        )

        copy = field.clone()
        _, path, args, kwargs = field.deconstruct()

        names = (*field._own, "max_length", "max_size", "upload_policy", "upload_to")
        for name in names:
            if name != "policy":
                assert getattr(copy, name) == getattr(field, name), name
        assert path == f"dbqueue.fields.{kind.__name__}"
        assert (args, kwargs["max_length"]) == ([], 100)
        assert kind(**kwargs).max_length == 100
        assert "max_length" not in kind().deconstruct()[3]

    def test_what_is_in_the_key_is_not_what_the_json_says(self, sender, as_ada):
        """A name, a size and an address that a page adds are not believed."""
        sent = sender.send(SHEET)
        lies = {"key": sent["key"], "name": "../../x.html", "url": "http://evil/"}
        form = SongForm({"sheet": json.dumps(lies)})

        assert form.is_valid(), form.errors
        song = form.save()
        run_jobs()

        song.refresh_from_db()
        assert song.sheet.name.endswith(".txt")
