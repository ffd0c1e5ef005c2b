"""Upload fields by the names of alliance-platform-storage, as its guide describes them.

One class for each part of it; what is different on purpose says so.
"""

import json
import logging
import re
import time
from base64 import b64decode
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.migrations.writer import MigrationWriter
from django.test import Client
from django.urls import reverse

from dbqueue.compat.alliance_platform.storage.async_uploads.forms import AsyncFileInput
from dbqueue.compat.alliance_platform.storage.async_uploads.models import (
    AsyncFileField,
    AsyncFileInputData,
    AsyncTempFile,
    default_max_length,
)
from dbqueue.compat.alliance_platform.storage.async_uploads.registry import (
    default_async_field_registry,
)
from dbqueue.compat.alliance_platform.storage.async_uploads.storage.base import (
    AsyncUploadStorage,
)
from dbqueue.compat.checks import check_alliance
from dbqueue.models import Job
from dbqueue.testing import run_jobs
from tests.compat.alliance.conftest import (
    DOCUMENT,
    OPEN,
    OWN,
    PDF,
    SCAN,
    STAMP,
    USUAL,
    Page,
    data,
    name_of,
)
from tests.compat.alliance_app.forms import LetterForm, ReportForm, StampForm
from tests.compat.alliance_app.models import (
    Binder,
    Letter,
    Report,
    UrgentReport,
    archive,
    storage,
)
from tests.fields.conftest import picture
from tests.support.processes import once

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.compat.alliance_app.urls"),
    once,
]

KINDS = pytest.mark.parametrize("model", [Report, UrgentReport])


class Asked(BaseBackend):
    """Grants or refuses everything, and notes what it was asked."""

    answer, asked = True, []

    def has_perm(self, user_obj, perm, obj=None):
        self.asked.append((perm, obj))
        return self.answer


@pytest.fixture
def permissions(settings):
    usual = settings.AUTHENTICATION_BACKENDS
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Asked", *usual]
    Asked.answer, Asked.asked = True, []
    return Asked


@pytest.fixture
def bea(db):
    return User.objects.create(username="bea")


class TestFields:
    def test_the_storage_must_be_one_that_takes_uploads(self, settings):
        # Otherwise a storage that was forgotten would have files in the database.
        with pytest.raises(ValueError, match="takes no uploads"):
            AsyncFileField(storage=FileSystemStorage())
        with pytest.raises(ValueError, match="takes no uploads"):
            AsyncFileField()
        backend = f"{type(storage).__module__}.{type(storage).__name__}"
        settings.STORAGES = {"default": {"BACKEND": backend}}
        AsyncFileField()

    def test_a_field_is_in_its_registry(self):
        first, second = (Binder._meta.get_field(name) for name in ("first", "second"))

        assert first.async_field_registry is default_async_field_registry
        found = default_async_field_registry.fields_by_id
        assert found[default_async_field_registry.generate_id(first)] is first
        assert archive.fields_by_id[archive.generate_id(second)] is second
        assert str(archive) == "AsyncFieldRegistry(name='archive')"

    @KINDS
    def test_the_size_of_a_picture_is_measured_and_what_is_told_is_not_believed(
        self,
        page,
        as_ada,
        model,
    ):
        sent = page.send(SCAN, picture((16, 12)), "a.png")

        report = model.objects.create(scan=data(sent, width=320, height=99))

        assert (report.scan_width, report.scan_height) == (16, 12)
        stored = model.objects.get(pk=report.pk)
        assert (stored.scan_width, stored.scan_height) == (16, 12)

    def test_the_size_is_that_of_a_new_picture_after_another_comes(self, page, as_ada):
        report = Report.objects.create(scan=data(page.send(SCAN, picture(), "a.png")))

        report.scan = data(page.send(SCAN, picture((8, 4)), "b.png"))
        report.save()

        assert (report.scan_width, report.scan_height) == (8, 4)
        report.refresh_from_db()
        assert (report.scan_width, report.scan_height) == (8, 4)

    def test_the_size_of_one_picture_is_not_given_to_another(self, page, as_ada):
        Report(scan=data(page.send(SCAN, picture((11, 11)), "a.png"), width=11))

        other = Report.objects.create(scan=data(page.send(SCAN, picture(), "b.png")))

        assert (other.scan_width, other.scan_height) == (16, 12)

    def test_a_picture_without_fields_for_its_size_is_saved(self, page, as_ada):
        report = Report.objects.create(stamp=data(page.send(STAMP, picture(), "a.png")))

        assert name_of(report.stamp) == "a"
        assert report.stamp.read()

    @KINDS
    def test_the_url_leads_to_the_view_that_asks_for_permission(self, model, db):
        report = model.objects.create(document="reports/a.pdf")

        address = urlsplit(report.document.url)

        view = default_async_field_registry.attached_download_view
        assert address.path == reverse(view) == "/async-uploads/download-file/"
        query = parse_qs(address.query)
        assert query["field_id"] == [default_async_field_registry.generate_id(DOCUMENT)]
        assert query["instance_id"] == [str(report.pk)]
        report.document = "reports/b.pdf"
        assert parse_qs(urlsplit(report.document.url).query)["_"] != query["_"]

    @KINDS
    def test_a_file_is_in_its_place_when_save_returns(self, page, as_ada, model):
        report = model.objects.create(document=data(page.send(DOCUMENT)))

        assert report.document.name.startswith("reports/abc")
        assert report.document.read() == PDF
        assert model.objects.get(pk=report.pk).document.name == report.document.name
        assert not Job.objects.exists()

    def test_a_key_is_taken_that_is_assigned_as_text(self, page, as_ada):
        report = Report.objects.create(document=page.send(DOCUMENT)["key"])

        assert name_of(report.document) == "abc"

    def test_the_key_of_the_file_that_is_there_changes_nothing(self, page, as_ada):
        report = Report.objects.create(document=data(page.send(DOCUMENT)))
        name = report.document.name

        report.document = AsyncFileInputData(key=name, name="abc.pdf")
        report.save()

        assert Report.objects.get().document.name == name

    def test_the_key_of_another_file_is_refused_and_logged(self, page, as_ada, caplog):
        report = Report.objects.create(document=data(page.send(DOCUMENT)))

        with (
            caplog.at_level(logging.WARNING, "dbqueue.fields"),
            pytest.raises(ValidationError, match="Invalid upload"),
        ):
            report.document = AsyncFileInputData(key="reports/b.pdf", name="b.pdf")
        assert "refused" in caplog.text

        report.document = data(page.send(DOCUMENT, filename="next.pdf"))
        report.save()
        assert name_of(report.document) == "next"

    @KINDS
    def test_several_fields_are_brought_in_by_one_save(self, page, as_ada, model):
        report = model.objects.create(
            document=data(page.send(DOCUMENT)),
            scan=data(page.send(SCAN, picture(), "scan.png")),
            stamp=data(page.send(STAMP, picture(), "stamp.png")),
        )

        found = [name_of(file) for file in (report.document, report.scan, report.stamp)]
        assert found == ["abc", "scan", "stamp"]
        assert {file.moved_to_location for file in AsyncTempFile.objects.all()} == {
            report.document.name,
            report.scan.name,
            report.stamp.name,
        }

    def test_a_file_that_cannot_be_stored_is_tried_again_by_a_worker(
        self,
        page,
        as_ada,
        monkeypatch,
    ):
        # There, the row keeps a temporary name, and somebody has to look after it.
        save = FileSystemStorage.save

        def refuse(self, name, *args, **kwargs):
            if "reports" in name:
                raise OSError("Cannot move")
            return save(self, name, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(FileSystemStorage, "save", refuse)
            report = Report.objects.create(
                document=data(page.send(DOCUMENT)),
                stamp=data(page.send(STAMP, picture(), "stamp.png")),
            )
        assert name_of(report.stamp) == "stamp"
        assert not Report.objects.get().document

        run_jobs()

        assert Report.objects.get().document.read() == PDF

    def test_hooks_are_called_before_a_row_is_saved_that_has_a_new_file(
        self,
        page,
        as_ada,
        monkeypatch,
    ):
        called = []
        for name in ("before_process_file", "before_move_file"):
            note = lambda instance, name=name: called.append((name, instance))  # noqa: E731
            monkeypatch.setattr(DOCUMENT, name, note)

        report = Report.objects.create(document=data(page.send(DOCUMENT)))
        report.save()

        names = ["before_process_file", "before_move_file"]
        assert called == [(name, report) for name in names]

    def test_a_migration_names_the_field_by_its_new_import(self):
        text, imports = MigrationWriter.serialize(OWN)

        path = "dbqueue.compat.alliance_platform.storage.async_uploads"
        assert f"import {path}.models" in imports
        assert "FileSystemAsyncUploadStorage()" in text
        assert OWN.clone().max_size == 1
        assert OWN.clone().move == "inline"
        assert (
            "max_length=100"
            in MigrationWriter.serialize(
                AsyncFileField(storage=storage, max_length=100)
            )[0]
        )


class TestForms:
    def test_a_form_takes_the_json_of_a_picture(self, page, as_ada):
        sent = page.send(SCAN, picture(), "a.png")
        form = ReportForm({"scan": json.dumps({**sent, "width": 224, "height": 550})})

        assert form.is_valid(), form.errors
        form.save()

        report = Report.objects.get()
        assert name_of(report.scan) == "a"
        assert (report.scan_width, report.scan_height) == (16, 12)

    def test_a_form_keeps_the_file_while_another_field_is_wrong(self, page, as_ada):
        sent = json.dumps(page.send(DOCUMENT))
        form = ReportForm({"document": sent, "scan": "nonsense"})

        assert list(form.errors) == ["scan"]
        shown = json.loads(AsyncFileInput().format_value(form["document"].value()))

        assert shown["name"] == "abc.pdf"
        again = ReportForm({"document": json.dumps(shown)})
        assert again.is_valid(), again.errors

    @pytest.mark.parametrize(
        "given",
        [
            "whatever.png",
            '{"key": "/storage/a.png", "name": "a.png"}',
            '{"key": "async-temp-files/2026/01/01/abc-a.png", "name": "a.png"}',
            '{"key": "a", "name": "a", "path": "/"}',
            "[1]",
        ],
    )
    def test_a_form_refuses_what_names_no_upload(self, as_ada, given):
        form = StampForm({"stamp": given})

        assert "Choose the file again" in form.errors["stamp"][0]

    def test_a_form_without_the_field_is_no_error(self, as_ada):
        form = StampForm({})

        assert form.is_valid(), form.errors
        assert not form.has_changed()

    def test_an_error_of_the_browser_is_shown(self, as_ada):
        form = StampForm({"stamp": '{"key": "", "name": "a", "error": "Offline"}'})

        assert form.errors == {"stamp": ["Offline"]}

    def test_the_widget_has_the_file_as_json(self, db):
        report = Report.objects.create(stamp="stamps/a.png")

        shown = json.loads(AsyncFileInput().format_value(report.stamp))

        url = report.stamp.url
        assert shown == {"key": "stamps/a.png", "name": "a.png", "url": url}
        assert AsyncFileInput().format_value(None) is None

    def test_a_template_of_the_projects_own_finds_what_it_is_used_to(self, db):
        report = Report.objects.create(stamp="stamps/a.png")
        form = StampForm(instance=report)
        widget = form.fields["stamp"].widget
        assert "generate_upload_url" not in str(form)
        assert 'class="wide"' in str(form)

        widget.template_name = "own.html"
        found = widget.get_context("stamp", report.stamp, {})["widget"]

        assert found["attrs"]["generate_upload_url"].endswith("generate-upload-url/")
        assert found["attrs"]["async_field_id"] == STAMP.async_field_id
        assert json.loads(found["value"])["key"] == "stamps/a.png"

    def test_a_name_that_is_too_long_is_an_error(self, page, as_ada):
        sent = page.send(OPEN)

        long = LetterForm({"open": json.dumps({**sent, "name": "a" * 501})})
        fits = LetterForm({"open": json.dumps({**sent, "name": "a" * 500})})

        assert f"at most {default_max_length} characters" in long.errors["open"][0]
        assert fits.is_valid(), fits.errors

    def test_an_ordinary_file_of_a_page_without_scripts_is_taken(self, as_ada):
        # There, the widget needs React.
        form = LetterForm({}, {"open": SimpleUploadedFile("a.txt", b"Dear all")})

        assert form.is_valid(), form.errors
        assert form.save().open.read() == b"Dear all"


class TestStorages:
    def test_a_temporary_name_keeps_the_ending_and_fits(self):
        day = len("async-temp-files/2021/03/03/")
        path = storage.generate_temporary_path("test.png")

        assert path.startswith("async-temp-files/")
        assert path.endswith("-test.png")
        assert storage.is_temporary_path(path)
        assert len(storage.generate_temporary_path("test.png", max_length=80)) <= 80
        with pytest.raises(SuspiciousFileOperation):
            storage.generate_temporary_path("test.png", max_length=day + 4)

    def test_a_program_can_put_a_file_there_itself(self, db):
        file = AsyncTempFile.create_for_field(DOCUMENT, "put.pdf")
        storage.save(file.key, ContentFile(PDF))

        assert (file.original_filename, file.field_name) == ("put.pdf", "document")
        assert (file.content_type.model_class(), file.moved_to_location) == (Report, "")
        report = Report.objects.create(document=AsyncFileInputData(file.key, "put.pdf"))

        assert report.document.read() == PDF
        assert name_of(report.document) == "put"
        assert AsyncTempFile.objects.get().moved_to_location == report.document.name
        with pytest.raises(ValidationError, match="used already"):
            Report(document=AsyncFileInputData(file.key, "put.pdf"))

    def test_a_storage_of_the_projects_own_is_asked_by_the_names_it_has(
        self,
        page,
        as_ada,
        monkeypatch,
        tmp_path,
    ):
        own = Own(location=tmp_path)
        monkeypatch.setattr(OPEN, "storage", own)
        begun = page.ask(OPEN, "abc.pdf", contentType="application/pdf").json()
        key, field_id, kind, conditions = own.asked.pop()
        assert begun["uploadUrl"] == {
            **{"url": f"https://sign.example/{key}", "provider": "own"},
            **{"method": "POST", "fields": {}, "headers": {}, "fileFieldName": "file"},
        }
        assert (field_id, kind) == (OPEN.async_field_id, "application/pdf")
        assert ["content-length-range", 0, 100 * 1024 * 1024] in conditions
        own.save(key, ContentFile(PDF))  # the browser did

        letter = Letter.objects.create(open=AsyncFileInputData(begun["key"], "abc.pdf"))

        assert letter.open.read() == PDF
        answer = page.download(OPEN, letter)
        assert answer["Location"] == f"https://load.example/{letter.open.name}"

    def test_a_storage_of_the_projects_own_gets_files_of_pages_without_scripts(
        self, as_ada, monkeypatch, tmp_path
    ):
        monkeypatch.setattr(OPEN, "storage", Own(location=tmp_path))
        form = LetterForm({}, {"open": SimpleUploadedFile("a.txt", b"Dear all")})

        assert form.is_valid(), form.errors

        assert form.save().open.read() == b"Dear all"

    def test_s3_signs_as_long_as_the_setting_says(self, settings):
        pytest.importorskip("boto3")
        from dbqueue.compat.alliance_platform.storage.async_uploads.storage.s3 import (
            S3AsyncUploadStorage,
        )

        settings.ALLIANCE_PLATFORM = {"STORAGE": {"UPLOAD_URL_EXPIRY": 60}}
        made = {"access_key": "a", "secret_key": "b", "region_name": "eu-central-1"}
        bucket = S3AsyncUploadStorage(bucket_name="people", **made)

        form = bucket.generate_upload_url("async-temp-files/a.pdf", OPEN.async_field_id)

        until = json.loads(b64decode(form["fields"]["policy"]))["expiration"]
        assert datetime.fromisoformat(until).timestamp() < time.time() + 61
        assert (form["method"], form["fileFieldName"]) == ("POST", "file")

    def test_a_file_can_be_moved_but_not_over_another(self):
        storage.save("a.txt", ContentFile(b"a"))
        storage.move_file("a.txt", "b/b.txt")
        assert (storage.exists("a.txt"), storage.exists("b/b.txt")) == (False, True)
        storage.save("c.txt", ContentFile(b"c"))

        with pytest.raises(FileExistsError):
            storage.move_file("c.txt", "b/b.txt")

        assert storage.open("b/b.txt").read() == b"a"
        assert storage.exists("c.txt")


class Own(AsyncUploadStorage, FileSystemStorage):
    """One that a project has written for itself."""

    provider = "own"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.asked = []

    def generate_upload_url(self, name, field_id, *, fields=None, conditions=None):
        self.asked.append((name, field_id, fields["Content-Type"], conditions))
        return f"https://sign.example/{name}"

    def generate_download_url(self, key, field_id, **kwargs):
        return f"https://load.example/{key}"


class TestAskingForAnAddress:
    def test_what_is_missing_or_unknown_is_told_by_name(self, page):
        address = reverse(default_async_field_registry.attached_view)
        required = ["This field is required."]

        empty = page.client.get(address)
        unknown = page.client.get(address, {"filename": "a.jpg", "field_id": "no"})

        assert empty.status_code == unknown.status_code == 400
        assert empty.json() == {"fieldId": required, "filename": required}
        assert unknown.json() == {"fieldId": ["Unknown fieldId"]}

    def test_both_spellings_are_understood(self, page):
        query = {"filename": "a.pdf", "fieldId": OPEN.async_field_id}

        assert page.client.get("/async-uploads/generate-upload-url/", query).json()
        assert page.ask(OPEN).status_code == 200

    def test_somebody_unknown_may_where_no_permission_is_needed(self, db):
        assert Page().ask(OPEN).status_code == 200
        assert Page().ask(USUAL).status_code == 403

    def test_somebody_without_the_permission_may_not(self, bea, permissions):
        permissions.answer = False

        assert Page(bea).ask(OWN).status_code == 403

    @pytest.mark.parametrize(
        ("field", "name"),
        [(OWN, "custom_{}"), (USUAL, "alliance_app.letter_{}")],
        ids=["own", "default"],
    )
    def test_a_new_object_needs_create_and_a_saved_one_update(
        self, bea, permissions, field, name
    ):
        letter, page = Letter.objects.create(), Page(bea)

        assert page.ask(field).status_code == 200
        assert page.ask(field, instanceId=letter.pk).status_code == 200

        assert permissions.asked == [
            (name.format("create"), None),
            (name.format("update"), letter),
        ]

    def test_a_permission_of_djangos_own_kind_is_enough_for_an_object(self, bea):
        # There, an object needs a backend that knows objects.
        kind = ContentType.objects.get_for_model(Letter)
        bea.user_permissions.create(codename="letter_update", content_type=kind)
        letter = Letter.objects.create()

        assert Page(bea).ask(USUAL, instanceId=letter.pk).status_code == 200
        assert Page(bea).ask(USUAL).status_code == 403

    def test_the_file_comes_into_a_new_object(self, page, as_ada):
        begun = page.ask(DOCUMENT, "abc.pdf").json()
        file = AsyncTempFile.objects.get()
        assert (file.original_filename, file.field_name) == ("abc.pdf", "document")
        assert (file.content_type.model_class(), file.moved_to_location) == (Report, "")
        assert begun["uploadUrl"]["provider"] == "filesystem"

        report = Report.objects.create(document=data(page.send(DOCUMENT)))

        assert name_of(report.document) == "abc"

    def test_the_file_comes_into_an_object_that_is_saved(self, page, as_ada):
        report = Report.objects.create(document="reports/old.pdf")

        report.document = data(page.send(DOCUMENT, instanceId=report.pk))
        report.save()

        report.refresh_from_db()
        assert name_of(report.document) == "abc"

    def test_a_type_that_the_field_does_not_take_is_refused(self, page):
        assert page.ask(OWN, "a.exe").status_code == 400
        assert page.ask(OWN, "a.csv").status_code == 200

    def test_a_file_that_is_too_large_is_refused_in_a_folder_too(self, page):
        to = page.ask(OWN, "a.csv").json()["uploadUrl"]
        file = SimpleUploadedFile("a.csv", b"a" * (1024 * 1024 + 1))

        assert Client().post(to["url"], {to["fileFieldName"]: file}).status_code == 413

    def test_an_object_that_is_not_there_is_told(self, page):
        for key in ("99", "nonsense"):
            answer = page.ask(OPEN, instanceId=key)
            assert answer.status_code == 400
            assert list(answer.json()) == ["instanceId"]

    def test_a_page_of_another_site_begins_no_upload(self, page):
        url = reverse(default_async_field_registry.attached_view)
        query = {"filename": "a.pdf", "fieldId": OPEN.async_field_id}
        strict = Client(enforce_csrf_checks=True)

        other = page.client.get(url, query, headers={"Sec-Fetch-Site": "cross-site"})
        own = page.client.get(url, query, headers={"Sec-Fetch-Site": "same-origin"})

        assert (other.status_code, own.status_code) == (403, 200)
        assert strict.post(url, query).status_code == 403

    def test_each_registry_has_addresses(self, page):
        second = Binder._meta.get_field("second")

        assert reverse(archive.attached_view) == "/archive/generate-upload-url/"
        assert page.ask(second).status_code == 200


class TestDownloading:
    def test_what_is_missing_or_unknown_is_told_by_name(self, page):
        address = reverse(default_async_field_registry.attached_download_view)

        empty = page.client.get(address)
        unknown = page.client.get(address, {"field_id": "no"})

        assert empty.status_code == unknown.status_code == 400
        assert empty.json() == {"fieldId": ["This field is required."]}
        assert unknown.json() == {"fieldId": ["Unknown fieldId"]}

    def test_somebody_unknown_may_where_no_permission_is_needed(self, db):
        storage.save("a.pdf", ContentFile(PDF))
        letter = Letter.objects.create(open="a.pdf")

        answer = Page().download(OPEN, letter)

        assert answer.status_code == 302
        file = Client().get(answer["Location"])
        assert b"".join(file.streaming_content) == PDF
        assert "attachment" in file["Content-Disposition"]

    def test_somebody_without_the_permission_may_not(self, bea, permissions):
        permissions.answer = False
        letter = Letter.objects.create(own="a.pdf")

        assert Page(bea).download(OWN, letter).status_code == 403

    @pytest.mark.parametrize(
        ("field", "name"),
        [(OWN, "custom_detail"), (USUAL, "alliance_app.letter_detail")],
        ids=["own", "default"],
    )
    def test_the_permission_for_the_object_is_asked(
        self, bea, permissions, field, name
    ):
        letter = Letter.objects.create(own="a.pdf", usual="a.pdf")

        answer = Page(bea).download(field, letter)

        assert answer.status_code == 302
        assert permissions.asked == [(name, letter)]

    def test_a_field_without_a_file_and_an_object_that_is_gone_are_not_found(
        self, page
    ):
        assert page.download(OWN, Letter.objects.create()).status_code == 404
        assert page.download(OWN, Letter(pk=99)).status_code == 404
        assert page.download(OWN, None).status_code == 404

    def test_who_may_download_gets_nothing_to_upload_with(self, page, as_ada):
        report = Report.objects.create(document=data(page.send(DOCUMENT)))
        address = page.download(DOCUMENT, report)["Location"]
        token = address.rstrip("/").rpartition("/")[2]
        upload = reverse("dbqueue_fields:upload", args=[token])

        answer = Client().post(upload, {"file": SimpleUploadedFile("a.pdf", b"PWNED")})

        assert answer.status_code == 403
        assert report.document.open().read() == PDF


class TestSettings:
    def test_addresses_are_valid_as_long_as_the_setting_says(self, page, settings):
        settings.ALLIANCE_PLATFORM = {
            "STORAGE": {"UPLOAD_URL_EXPIRY": 60, "DOWNLOAD_URL_EXPIRY": 120}
        }
        storage.save("a.pdf", ContentFile(PDF))
        letter = Letter.objects.create(open="a.pdf")
        to = page.ask(OPEN).json()["uploadUrl"]["url"]
        address = page.download(OPEN, letter)["Location"]
        file = {"file": SimpleUploadedFile("abc.pdf", PDF)}

        with travel(61):
            assert Client().post(to, file).status_code == 410
            assert Client().get(address).status_code == 200
        with travel(121):
            assert Client().get(address).status_code == 410

    def test_a_project_names_its_permissions_itself(self, settings):
        settings.ALLIANCE_PLATFORM = {"CORE": {"RESOLVE_PERM_NAME": f"{__name__}.own"}}

        assert OPEN.default_permission(Letter, "create") == "letter.create.True"
        assert OPEN.default_permission(Letter, "detail") == "letter.detail.False"

    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            ({"STORAGE": {"UPLOAD_URL_EXPIRY": None}}, "UPLOAD_URL_EXPIRY.*=None"),
            ({"STORAGE": {"DOWNLOAD_URL_EXPIRY": "1h"}}, "DOWNLOAD_URL_EXPIRY.*'1h'"),
            ({"CORE": {"RESOLVE_PERM_NAME": "no.where"}}, "RESOLVE_PERM_NAME"),
        ],
    )
    def test_a_check_says_what_is_refused(self, settings, given, problem):
        assert check_alliance() == []
        settings.ALLIANCE_PLATFORM = given

        (found,) = check_alliance()

        assert found.id == "dbqueue.E029"
        assert re.search(problem, found.msg)


def own(app_config, model, action, is_global):
    return f"{model._meta.model_name}.{action}.{is_global}"


@contextmanager
def travel(seconds):
    with time_machine.travel(time.time() + seconds, tick=False):
        yield
