"""Forms with upload fields: a file is kept until the form is right."""

import html
import json
import re

import pytest
from django import forms
from django.contrib import admin
from django.contrib.admin.sites import AdminSite
from django.core.files.uploadedfile import SimpleUploadedFile
from django.forms import inlineformset_factory
from django.test import RequestFactory

from dbqueue.fields import acting
from dbqueue.fields.models import FieldUpload
from dbqueue.models import Upload
from dbqueue.testing import run_jobs
from tests.album.models import Album, Song
from tests.fields.conftest import BOOKLET, COVER, SHEET, picture
from tests.support.processes import once

pytestmark = [pytest.mark.django_db, once]


class AlbumForm(forms.ModelForm):
    class Meta:
        model = Album
        fields = ("title", "cover", "booklet")


class SongForm(forms.ModelForm):
    class Meta:
        model = Song
        fields = ("sheet",)


def a_file(name="notes.txt", content=b"Dear all"):
    return SimpleUploadedFile(name, content)


def value_of(form, name):
    """Return the JSON that the page has for a field."""
    text = re.search(r'type="hidden"[^>]* value="([^"]*)"', str(form[name]))
    return json.loads(html.unescape(text[1])) if text else None


def as_text(found):
    return json.dumps({"key": found["key"], "name": found["name"]})


class TestAForm:
    def test_an_ordinary_submit_needs_no_script(self, as_ada):
        form = SongForm({}, {"sheet": a_file()})

        assert form.is_valid(), form.errors
        song = form.save()
        run_jobs()

        song.refresh_from_db()
        assert song.sheet.read() == b"Dear all"
        assert Upload.objects.count() == 1

    def test_a_file_is_kept_while_the_form_has_errors(self, as_ada):
        form = AlbumForm({"title": ""}, {"booklet": a_file()})
        assert not form.is_valid()
        shown = value_of(form, "booklet")
        assert (shown["name"], shown["size"]) == ("notes.txt", 8)

        again = AlbumForm({"title": "First", "booklet": as_text(shown)})
        assert again.is_valid(), again.errors
        album = again.save()
        run_jobs()

        album.refresh_from_db()
        assert album.booklet.read() == b"Dear all"

    def test_a_file_that_was_sent_is_kept_over_several_errors(self, sender, as_ada):
        text = as_text(sender.send(COVER, picture(), "a.png"))
        for _ in range(2):
            form = AlbumForm({"title": "", "cover": text})
            assert not form.is_valid()
            shown = value_of(form, "cover")
            assert shown["previewUrl"] == shown["url"]
            text = as_text(shown)

        form = AlbumForm({"title": "First", "cover": text})
        assert form.is_valid(), form.errors
        album = form.save()
        run_jobs()

        album.refresh_from_db()
        assert (album.cover_width, album.cover_height) == (16, 12)

    def test_a_form_shows_what_is_stored_and_leaves_it(self, as_ada):
        album = Album.objects.create(title="First", booklet="booklets/a.txt")
        page = html.unescape(str(AlbumForm(instance=album)["booklet"]))
        assert f"instance_id={album.pk}" in page
        assert ">a.txt<" in page
        assert value_of(AlbumForm(instance=album), "booklet") is None

        form = AlbumForm({"title": "Second"}, instance=album)
        assert form.is_valid(), form.errors
        assert form.changed_data == ["title"]
        form.save()
        album.refresh_from_db()
        assert album.booklet.name == "booklets/a.txt"

    def test_a_form_takes_what_is_stored_by_its_name(self, as_ada):
        album = Album.objects.create(title="First", booklet="booklets/a.txt")
        shown = {"key": "booklets/a.txt", "name": "a.txt"}

        form = AlbumForm({"title": "Second", "booklet": as_text(shown)}, instance=album)
        assert form.is_valid(), form.errors
        assert form.changed_data == ["title"]
        form.save()

        album.refresh_from_db()
        assert (album.title, album.booklet.name) == ("Second", "booklets/a.txt")
        assert not FieldUpload.objects.exists()

    def test_a_field_that_is_missing_in_the_data_keeps_its_file(self, as_ada):
        album = Album.objects.create(title="First", booklet="booklets/a.txt")

        form = AlbumForm({"title": "Second"}, instance=album)

        assert form.is_valid(), form.errors
        assert form.save().booklet.name == "booklets/a.txt"

    def test_a_file_can_be_cleared(self, as_ada):
        album = Album.objects.create(title="First", booklet="booklets/a.txt")
        page = str(AlbumForm(instance=album)["booklet"])
        checkbox = re.search(r'type="checkbox" name="([^"]+)" id="([^"]+)"', page)
        assert f'<label for="{checkbox[2]}">' in page

        form = AlbumForm({"title": "First", checkbox[1]: "on"}, instance=album)
        assert form.is_valid(), form.errors
        form.save()

        album.refresh_from_db()
        assert not album.booklet

    def test_a_required_file_is_asked_for(self, as_ada):
        form = SongForm({}, {})

        assert form.errors == {"sheet": ["This field is required."]}

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "[1]",
                "5",
                '"x"',
                "{",
                "true",
                '{"name": "a"}',
                '{"key": 1, "name": ""}',
            ),
            '{"key": "a.txt", "name": "a.txt"}',
            '{"key": "async-temp-files/none", "name": "a.txt"}',
            '{"key": "a", "name": "a", "more": 1}',
        ],
    )
    def test_text_that_names_no_upload_is_an_error_of_the_form(self, as_ada, text):
        form = SongForm({"sheet": text})

        assert list(form.errors) == ["sheet"]
        assert "Choose the file again" in form.errors["sheet"][0]
        str(form)

    def test_an_error_of_the_browser_is_shown(self, as_ada):
        form = SongForm({"sheet": '{"error": "The network is down.", "name": "a"}'})

        assert form.errors == {"sheet": ["The network is down."]}

    def test_an_upload_of_another_user_is_an_error_of_the_form(
        self, sender, bob, request_of
    ):
        text = as_text(sender.send(SHEET))

        with acting(request_of(bob)):
            form = SongForm({"sheet": text})

            assert "not known here" in form.errors["sheet"][0]
            assert value_of(form, "sheet") is None

    def test_an_upload_that_expired_is_an_error_of_the_form(self, sender, as_ada):
        text = as_text(sender.send(SHEET))
        Upload.objects.update(expires_at="2020-01-01T00:00:00Z")

        form = SongForm({"sheet": text})

        assert "has expired" in form.errors["sheet"][0]

    def test_a_file_of_another_type_is_an_error_of_the_form(self, as_ada, request_of):
        form = AlbumForm({"title": "a"}, {"cover": a_file("a.png", b"<script>")})

        assert form.errors == {"cover": ["This file is not a picture."]}
        assert not FieldUpload.objects.exists()

    def test_outside_of_a_request_a_form_checks_and_saves_all_the_same(self, db):
        bad = AlbumForm({"title": "a"}, {"cover": a_file("a.png", b"<script>")})
        assert bad.errors == {"cover": ["This file is not a picture."]}
        form = SongForm({}, {"sheet": a_file()})
        assert form.is_valid(), form.errors
        form.save()

        run_jobs()

        assert Song.objects.get().sheet.read() == b"Dear all"

    def test_a_browser_learns_where_to_send_files_and_which(self, as_ada):
        album = Album.objects.create(title="First")
        html = str(AlbumForm(instance=album))

        assert f'data-field-id="{BOOKLET.async_field_id}"' in html
        assert f'data-instance-id="{album.pk}"' in html
        assert 'data-issue-url="/uploads/generate-upload-url/"' in html
        assert 'data-max-size="1048576"' in html
        assert 'accept="application/pdf,.txt"' in html
        assert 'accept="image/*"' in html
        assert 'data-instance-id=""' in str(AlbumForm())

    def test_a_form_on_an_empty_field_knows_its_object(self, sender, as_ada):
        album = Album.objects.create(title="First")
        text = as_text(sender.send(BOOKLET, instanceId=album.pk))

        form = AlbumForm({"title": "", "booklet": text}, instance=album)

        assert list(form.errors) == ["title"]
        assert f'data-instance-id="{album.pk}"' in str(form["booklet"])


class TestSeveral:
    def test_a_formset_has_a_file_in_each_form(self, sender, as_ada):
        album = Album.objects.create(title="First")
        make = inlineformset_factory(Album, Song, fields=["sheet"], extra=2)
        data = {
            "songs-TOTAL_FORMS": "2",
            "songs-INITIAL_FORMS": "0",
            "songs-0-sheet": as_text(sender.send(SHEET, b"one")),
        }
        formset = make(data, {"songs-1-sheet": a_file("b.txt", b"two")}, instance=album)

        assert formset.is_valid(), formset.errors
        formset.save()
        run_jobs()

        found = {song.sheet.read() for song in album.songs.all()}
        assert found == {b"one", b"two"}

    def test_the_admin_uses_the_widget(self, ada):
        site = AdminSite()

        class SongInline(admin.TabularInline):
            model = Song
            fields = ("sheet",)

        class AlbumAdmin(admin.ModelAdmin):
            inlines = [SongInline]

        request = RequestFactory().get("/")
        request.user = ada
        form = AlbumAdmin(Album, site).get_form(request)()
        inline = SongInline(Album, site).get_formset(request)().empty_form

        assert "data-issue-url" in str(form["cover"])
        assert "data-issue-url" in str(inline["sheet"])
