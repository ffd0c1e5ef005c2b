"""Files that are sent before their form: what is answered, refused and kept."""

import io
from wsgiref.util import setup_testing_defaults

import pytest
from django.contrib.auth.models import Permission, User
from django.core.handlers.wsgi import WSGIRequest
from django.test import Client
from django.urls import resolve

from dbqueue.fields.models import FieldUpload
from dbqueue.models import Upload, UploadArtifact, UploadChunk
from tests.album.models import Album
from tests.fields.conftest import (
    BOOKLET,
    COVER,
    ISSUE,
    SHEET,
    TAKE,
    Sender,
    picture,
    stored,
)

pytestmark = pytest.mark.django_db

BOTH = pytest.mark.parametrize("field", [SHEET, BOOKLET], ids=["database", "folder"])


def nothing_left():
    return not (
        FieldUpload.objects.exists()
        or Upload.objects.exists()
        or UploadChunk.objects.exists()
        or UploadArtifact.objects.exists()
        or stored()
    )


BOUNDARY = "boundary"
FORM = (
    f"--{BOUNDARY}\r\nContent-Disposition: form-data; "
    'name="file"; filename="notes.txt"\r\n\r\n'
).encode()


def cut(url, method, body, length):
    """Send less of a body than its header says; return the status."""
    environ = {}
    setup_testing_defaults(environ)
    environ |= {
        "REQUEST_METHOD": method,
        "PATH_INFO": url,
        "CONTENT_LENGTH": str(length),
        "CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}",
        "wsgi.input": io.BytesIO(body),
    }
    view, _, arguments = resolve(url)
    return view(WSGIRequest(environ), **arguments).status_code


class TestBeginning:
    def test_what_is_answered_has_what_older_pages_read(self, sender):
        begun = sender.begin(SHEET, "my notes.txt", contentType="text/plain", size=8)

        assert set(begun["uploadUrl"]) == {
            *("url", "fields", "method", "provider", "headers", "fileFieldName")
        }
        assert begun["uploadUrl"]["provider"] == "database"
        assert begun["key"].startswith("async-temp-files/")
        assert begun["name"] == "my_notes.txt"
        assert begun["maxSize"] == 100_000_000
        assert begun["previewUrl"] is begun["completeUrl"] is None

    def test_a_folder_is_named_as_the_provider(self, sender):
        begun = sender.begin(BOOKLET)

        assert begun["uploadUrl"]["provider"] == "filesystem"
        assert begun["maxSize"] == 1024 * 1024

    @pytest.mark.parametrize(
        ("asked", "errors"),
        [
            (
                {},
                {
                    "fieldId": ["This field is required."],
                    "filename": ["This field is required."],
                },
            ),
            (
                {"fieldId": "x", "filename": "a"},
                {"fieldId": ["Unknown fieldId"]},
            ),
            (
                {"fieldId": SHEET.async_field_id, "filename": "a", "params": "{"},
                {"params": ["Invalid JSON"]},
            ),
            (
                {"fieldId": SHEET.async_field_id, "filename": "a", "size": "-1"},
                {"size": ["This is no number of bytes."]},
            ),
            (
                {"fieldId": SHEET.async_field_id, "filename": "a", "instanceId": "x"},
                {"instanceId": ["There is no such object."]},
            ),
            (
                {"fieldId": SHEET.async_field_id, "filename": "a", "instanceId": "9"},
                {"instanceId": ["There is no such object."]},
            ),
        ],
    )
    def test_what_is_missing_or_wrong_is_told_by_name(self, sender, asked, errors):
        answer = sender.client.post(ISSUE, asked)

        assert (answer.status_code, answer.json()) == (400, errors)

    def test_names_may_be_those_of_python_or_json(self, sender):
        asked = {"field_id": SHEET.async_field_id, "filename": "a.txt"}

        as_json = sender.client.post(ISSUE, asked, content_type="application/json")

        assert sender.client.post(ISSUE, asked).status_code == 200
        assert as_json.status_code == 200
        for body in ("[1]", "5", "{", '"x"'):
            answer = sender.client.post(ISSUE, body, content_type="application/json")
            assert answer.status_code == 400

    def test_a_get_begins_nothing_unless_the_settings_say_so(self, sender, settings):
        asked = {"fieldId": SHEET.async_field_id, "filename": "a.txt"}

        assert sender.client.get(ISSUE, asked).status_code == 405
        assert not FieldUpload.objects.exists()
        settings.DBQUEUE = {"FIELDS": {"ISSUE_BY_GET": True}}
        assert sender.client.get(ISSUE, asked).status_code == 200

    def test_another_site_cannot_begin_an_upload(self, ada):
        client = Client(enforce_csrf_checks=True)
        client.force_login(ada)

        answer = client.post(
            ISSUE, {"fieldId": SHEET.async_field_id, "filename": "a.txt"}
        )

        assert answer.status_code == 403
        assert not FieldUpload.objects.exists()

    def test_a_type_that_is_not_accepted_is_refused_by_its_name(self, sender):
        for field, name in ((BOOKLET, "a.exe"), (COVER, "a.pdf")):
            answer = sender.issue(field, name)
            assert answer.status_code == 400
            assert "not accepted" in answer.json()["filename"][0]
        assert sender.issue(BOOKLET, "a.pdf").status_code == 200

    def test_a_file_that_says_it_is_too_large_is_refused(self, sender):
        answer = sender.issue(BOOKLET, "a.txt", size=2_000_000)

        assert answer.status_code == 413
        assert nothing_left()

    def test_a_user_may_not_have_too_many_waiting(self, sender, settings):
        settings.DBQUEUE = {"FIELDS": {"COUNT_PER_OWNER": 2}}

        answers = [sender.issue(SHEET, size=5).status_code for _ in range(3)]

        assert answers == [200, 200, 429]

    def test_a_user_may_not_begin_too_many_in_a_minute(self, sender, settings):
        settings.DBQUEUE = {"FIELDS": {"PER_MINUTE": 2}}

        answers = [sender.issue(SHEET, size=5).status_code for _ in range(3)]

        assert answers == [200, 200, 429]

    def test_a_user_may_not_have_too_many_bytes_waiting(self, sender, settings):
        settings.DBQUEUE = {"FIELDS": {"BYTES_PER_OWNER": 1000}}

        assert sender.issue(BOOKLET, size=900).status_code == 200
        assert sender.issue(BOOKLET, size=200).status_code == 429
        assert sender.issue(BOOKLET, size=100).status_code == 200


class TestPermission:
    @pytest.fixture
    def album(self, db):
        return Album.objects.create(title="First")

    def test_django_permissions_are_asked_where_nothing_is_said(self, album):
        user = User.objects.create_user("eve")
        sender = Sender(user)

        assert sender.issue(COVER, "a.png").status_code == 403
        assert sender.issue(COVER, "a.png", instanceId=album.pk).status_code == 403
        allow(user, "add_album")
        assert sender.issue(COVER, "a.png").status_code == 200
        assert sender.issue(COVER, "a.png", instanceId=album.pk).status_code == 403
        allow(user, "change_album")
        assert sender.issue(COVER, "a.png", instanceId=album.pk).status_code == 200

    def test_a_function_may_decide(self, ada, bob):
        assert Sender(ada).issue(TAKE, "a.mp3").status_code == 200
        assert Sender(bob).issue(TAKE, "a.mp3").status_code == 403

    def test_anonymous_people_may_only_where_everybody_may(self, db):
        assert Sender().issue(COVER, "a.png").status_code == 403
        assert Sender().issue(SHEET).status_code == 200
        assert FieldUpload.objects.get().upload.owner_id.startswith("session:")


def allow(user, name):
    user.user_permissions.add(Permission.objects.get(codename=name))


class TestTheBytes:
    @BOTH
    def test_a_file_waits_for_its_form_when_all_is_there(self, sender, field):
        sent = sender.send(field, b"text " * 200_000, size=1_000_000)

        row = FieldUpload.objects.get()
        assert (sent["size"], sent["state"]) == (1_000_000, "RECEIVED")
        assert (row.received, row.upload.size) == (1_000_000, 1_000_000)
        assert row.upload.state == "RECEIVING"
        in_folder = {row.upload.held_as} if field is BOOKLET else set()
        assert stored() == in_folder
        assert UploadChunk.objects.count() == (0 if in_folder else 4)

    @BOTH
    def test_a_file_may_be_the_whole_body(self, sender, field):
        begun = sender.begin(field)

        answer = Client().put(begun["uploadUrl"]["url"], b"Dear all")

        assert (answer.status_code, answer.json()["size"]) == (201, 8)

    @BOTH
    def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(
        self, sender, field, monkeypatch
    ):
        monkeypatch.setattr("dbqueue.fields.restrictions.MAX_SIZE", 1024 * 1024)
        begun = sender.begin(field)

        answer = sender.put(begun, b"x" * (1024 * 1024 + 1))

        assert answer.status_code == 413
        assert "larger than" in answer.json()["message"]
        assert nothing_left()

    @BOTH
    def test_more_bytes_than_were_announced_are_refused(self, sender, field):
        begun = sender.begin(field, size=5)

        assert sender.put(begun, b"123456").status_code == 413
        assert nothing_left()

    @BOTH
    def test_fewer_bytes_than_were_announced_do_not_make_a_file(self, sender, field):
        begun = sender.begin(field, size=50)

        assert sender.put(begun, b"123456").status_code == 409
        assert FieldUpload.objects.get().completed_at is None
        assert sender.put(begun, b"x" * 50).status_code == 201

    @BOTH
    def test_an_empty_file_is_refused(self, sender, field):
        begun = sender.begin(field)

        assert Client().put(begun["uploadUrl"]["url"], b"").status_code == 400
        assert nothing_left()

    @BOTH
    def test_a_file_cannot_be_sent_over_one_that_is_there(self, sender, field):
        sent = sender.send(field)

        answer = sender.put(sent, b"something else")

        assert answer.status_code == 409
        status = sender.client.get(sent["statusUrl"]).json()
        assert status["size"] == 8

    @BOTH
    def test_a_body_that_breaks_off_can_be_sent_again(self, sender, field):
        begun = sender.begin(field)
        url = begun["uploadUrl"]["url"]

        assert cut(url, "PUT", b"Dear", 8) == 409
        assert cut(url, "POST", FORM + b"Dear", 500) == 409
        assert FieldUpload.objects.get().completed_at is None
        assert Client().put(url, b"Dear all").status_code == 201
        assert FieldUpload.objects.get().received == 8

    def test_a_form_without_a_file_is_no_upload(self, sender):
        begun = sender.begin(SHEET)

        answer = Client().post(begun["uploadUrl"]["url"], {"name": "x"})

        assert answer.status_code == 409
        assert FieldUpload.objects.get().completed_at is None

    def test_a_picture_is_known_by_its_bytes(self, sender):
        begun = sender.begin(COVER, "a.png")

        answer = sender.put(begun, b"<script>alert(1)</script>", "a.png")

        assert (answer.status_code, answer.json()["code"]) == (400, "not_an_image")
        assert nothing_left()

    def test_a_file_is_known_by_its_bytes(self, sender):
        begun = sender.begin(BOOKLET, "a.txt")

        answer = sender.put(begun, b"MZ\x90\0\3", "a.txt")

        assert (answer.status_code, answer.json()["code"]) == (400, "type_not_allowed")
        assert nothing_left()

    @BOTH
    def test_a_name_with_a_path_writes_nowhere_else(self, sender, field):
        sent = sender.send(field, filename="../../etc/passwd.txt")

        assert sent["name"] == "passwd.txt"
        names = stored()
        assert all(name.startswith("async-temp-files/") for name in names)

    def test_what_waits_in_a_folder_is_for_this_user_alone(self, sender, media):
        sender.send(BOOKLET)

        (name,) = stored()
        assert (media / name).stat().st_mode & 0o777 == 0o600
        with pytest.raises(ValueError, match="waits for its form"):
            BOOKLET.storage.url(name)


class TestStatus:
    def test_a_status_tells_how_far_a_file_is(self, sender):
        begun = sender.begin(SHEET, size=8)
        before = sender.client.get(begun["statusUrl"])
        sender.put(begun)
        after = sender.client.get(begun["statusUrl"])

        assert (before.json()["state"], before.json()["received"]) == ("RECEIVING", 0)
        assert (after.json()["state"], after.json()["received"]) == ("RECEIVED", 8)
        again = sender.client.get(
            begun["statusUrl"], headers={"If-None-Match": after["ETag"]}
        )
        assert again.status_code == 304
        assert "no-store" in after["Cache-Control"]

    def test_a_picture_that_waits_can_be_seen_by_its_owner(self, sender, bob):
        sent = sender.send(COVER, picture(), "a.png")

        answer = sender.client.get(sent["previewUrl"])

        assert answer["Content-Type"] == "image/jpeg"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in answer["Cache-Control"]
        assert Sender(bob).client.get(sent["previewUrl"]).status_code == 403

    @BOTH
    def test_a_file_that_waits_can_be_dropped(self, sender, field):
        sent = sender.send(field)

        assert sender.client.post(sent["cancelUrl"]).status_code == 204
        assert sender.client.delete(sent["cancelUrl"]).status_code == 204
        assert nothing_left()
        assert sender.client.get(sent["statusUrl"]).status_code == 410
