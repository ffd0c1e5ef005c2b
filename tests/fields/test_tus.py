"""tus 1.0: what its requests are answered, and what of an upload is kept."""

import base64
import hashlib
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dbqueue.fields import AsyncFileInputData
from dbqueue.fields.models import FieldUpload
from dbqueue.models import Upload
from dbqueue.testing import run_jobs
from dbqueue.uploads.chunks import CHUNK_SIZE
from tests.album.models import Album, Song

pytestmark = pytest.mark.django_db

CREATE = "/uploads/tus/"
CONTENT = bytes(range(256)) * 1200  # a chunk, and some of the next
KINDS = ["sheet", "film"]  # through the database, and to a folder


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path


@pytest.fixture
def ada(client):
    user = User.objects.create_superuser("ada")
    client.force_login(user)
    return user


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def headers(more=()):
    given = {"Tus-Resumable": "1.0.0", **dict(more)}
    return {key: str(value) for key, value in given.items() if value is not None}


def create(client, field="sheet", *, size=None, filename="song.txt", **more):
    size = len(CONTENT) if size is None else size
    field = Song._meta.get_field(field) if isinstance(field, str) else field
    pairs = {"fieldId": field.async_field_id, "filename": filename, **more}
    metadata = ",".join(f"{name} {encoded(value)}" for name, value in pairs.items())
    given = headers({"Upload-Length": size, "Upload-Metadata": metadata})
    return client.post(CREATE, b"", content_type="", headers=given)


def patch(client, place, data, offset, **more):
    names = {name.replace("_", "-"): value for name, value in more.items()}
    given = headers({"Upload-Offset": offset, **names})
    kind = "application/offset+octet-stream"
    return client.patch(place, data, content_type=kind, headers=given)


def head(client, place):
    return client.head(place, headers=headers())


def checksum(data, algorithm="sha1"):
    digest = hashlib.new(algorithm, data).digest()
    return f"{algorithm} {base64.b64encode(digest).decode()}"


def begun(client, field="sheet", **more):
    answer = create(client, field, **more)
    assert answer.status_code == 201, answer.text
    return answer["Location"].removeprefix("http://testserver")


def test_options_tell_what_is_understood(client):
    answer = client.options(CREATE)

    assert answer.status_code == 204
    assert answer["Tus-Version"] == "1.0.0"
    assert {"creation", "checksum", "expiration", "termination"} <= {
        *answer["Tus-Extension"].split(",")
    }
    assert "sha1" in answer["Tus-Checksum-Algorithm"].split(",")


@pytest.mark.parametrize("field", KINDS)
def test_pieces_make_the_file(client, field):
    place = begun(client, field)
    cut = CHUNK_SIZE - 7

    first = patch(client, place, CONTENT[:cut], 0)
    assert (first.status_code, first["Upload-Offset"]) == (204, str(cut))
    asked = head(client, place)
    assert asked.status_code == 200
    assert asked["Upload-Offset"] == str(cut)
    assert asked["Upload-Length"] == str(len(CONTENT))
    assert "no-store" in asked["Cache-Control"]
    assert asked["Upload-Expires"].endswith("GMT")
    last = patch(client, place, CONTENT[cut:], cut)

    assert last["Upload-Offset"] == str(len(CONTENT))
    row = FieldUpload.objects.select_related("upload").get()
    assert row.completed_at is not None
    assert row.upload.sha256 in ("", hashlib.sha256(CONTENT).hexdigest())


def test_the_key_of_what_was_sent_is_that_of_an_ordinary_upload(client):
    field = Song._meta.get_field("sheet")
    asked = {"fieldId": field.async_field_id, "filename": "a.txt", "size": len(CONTENT)}
    told = client.post("/uploads/generate-upload-url/", asked).json()

    answer = patch(client, told["tusUrl"], CONTENT, 0)

    assert answer.status_code == 204
    state = client.get(told["statusUrl"]).json()
    assert (state["state"], state["received"]) == ("RECEIVED", len(CONTENT))


@pytest.mark.parametrize("field", KINDS)
def test_a_form_takes_what_was_sent_by_the_key_of_its_answers(client, as_ada, field):
    place = begun(client, field)
    answer = patch(client, place, CONTENT, 0)

    song = Song(**{field: AsyncFileInputData(answer["Upload-Key"], "song.txt")})
    song.save()
    run_jobs()

    song.refresh_from_db()
    assert getattr(song, field).read() == CONTENT
    assert head(client, place)["Upload-Key"]


@pytest.mark.parametrize("field", KINDS)
def test_a_wrong_offset_is_a_conflict_and_changes_nothing(client, field):
    place = begun(client, field)
    patch(client, place, CONTENT[:100], 0)

    for offset in (0, 99, 101):
        assert patch(client, place, CONTENT[100:200], offset).status_code == 409

    assert head(client, place)["Upload-Offset"] == "100"


@pytest.mark.parametrize("field", KINDS)
def test_a_wrong_checksum_is_460_and_keeps_none_of_the_piece(client, field):
    place = begun(client, field)

    wrong = patch(client, place, CONTENT, 0, Upload_Checksum=checksum(b"other"))
    assert wrong.status_code == 460
    assert head(client, place)["Upload-Offset"] == "0"
    right = patch(client, place, CONTENT, 0, Upload_Checksum=checksum(CONTENT))

    assert right.status_code == 204


@pytest.mark.parametrize("given", ["crc7 AAAA", "sha1 ###", "sha1"])
def test_a_checksum_that_is_none_is_400(client, given):
    place = begun(client)

    answer = patch(client, place, CONTENT, 0, Upload_Checksum=given)

    assert answer.status_code in (400, 460)
    assert head(client, place)["Upload-Offset"] == "0"


def test_a_client_may_send_the_first_bytes_at_once(client):
    field = Song._meta.get_field("sheet")
    metadata = f"fieldId {encoded(field.async_field_id)},filename {encoded('a.txt')}"
    given = headers({"Upload-Length": len(CONTENT), "Upload-Metadata": metadata})
    kind = "application/offset+octet-stream"

    answer = client.post(CREATE, CONTENT[:10], content_type=kind, headers=given)

    assert (answer.status_code, answer["Upload-Offset"]) == (201, "10")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Tus-Resumable": "0.2.1"}, 412),
        ({"Tus-Resumable": None}, 412),
        ({"Upload-Length": None}, 400),
        ({"Upload-Length": "-1"}, 400),
        ({"Upload-Length": 0}, 400),
        ({"Upload-Length": "1" * 40}, 400),
        ({"Upload-Length": 200_000_000}, 413),
        ({"Upload-Metadata": "filename ###"}, 400),
        ({"Upload-Metadata": f"filename {encoded('a.txt')}"}, 400),
        ({"Upload-Metadata": None}, 400),
    ],
)
def test_what_cannot_be_begun_is_told(client, change, status):
    field = Song._meta.get_field("sheet")
    metadata = f"fieldId {encoded(field.async_field_id)},filename {encoded('a.txt')}"
    given = {"Upload-Length": 5, "Upload-Metadata": metadata}

    answer = client.post(
        CREATE, b"", content_type="", headers=headers({**given, **change})
    )

    assert answer.status_code == status, answer.text
    assert answer.json()["message"]
    assert not Upload.objects.exists()


def test_a_request_that_is_not_of_the_protocol_is_refused(client):
    place = begun(client)

    text = client.patch(
        place, b"x", content_type="text/plain", headers=headers({"Upload-Offset": 0})
    )

    assert text.status_code == 415
    assert patch(client, place, b"x", "one").status_code == 400
    assert client.get(place, headers=headers()).status_code == 405
    assert client.get(CREATE, headers=headers()).status_code == 405
    assert patch(client, place, CONTENT + b"x", 0).status_code == 413
    assert head(client, place)["Upload-Offset"] == "0"


def test_who_may_not_upload_may_not_begin(client):
    answer = create(client, Album._meta.get_field("booklet"))

    assert answer.status_code == 403
    assert not Upload.objects.exists()


def test_a_file_of_another_type_is_refused_by_its_name_and_by_its_bytes(client, ada):
    booklet = Album._meta.get_field("booklet")
    assert create(client, booklet, filename="song.exe").status_code == 400
    place = begun(client, Album._meta.get_field("cover"), size=9, filename="a.png")

    answer = patch(client, place, b"<!doctype", 0)

    assert answer.status_code == 400
    assert answer.json()["message"]
    assert head(client, place).status_code == 410


def test_another_user_reaches_nothing(client, ada):
    place = begun(client)
    other = Client()
    other.force_login(User.objects.create_user("bob"))

    assert head(other, place).status_code == 403
    assert patch(other, place, CONTENT, 0).status_code == 403
    assert other.delete(place, headers=headers()).status_code == 403
    assert head(Client(), place).status_code == 403
    assert head(client, place)["Upload-Offset"] == "0"


def test_a_token_for_something_else_is_refused(client):
    asked = {"fieldId": Song._meta.get_field("sheet").async_field_id, "filename": "a"}
    told = client.post("/uploads/generate-upload-url/", asked | {"size": 5}).json()
    token = told["uploadUrl"]["url"].rstrip("/").rpartition("/")[2]

    assert head(client, f"{CREATE}{token}/").status_code == 403
    assert head(client, f"{CREATE}nonsense/").status_code == 403


@pytest.mark.parametrize("field", KINDS)
def test_what_is_given_up_is_gone(client, field):
    place = begun(client, field)
    patch(client, place, CONTENT[:100], 0)

    assert client.delete(place, headers=headers()).status_code == 204

    assert head(client, place).status_code == 410
    assert patch(client, place, CONTENT[100:], 100).status_code == 410


def test_what_has_expired_is_gone(client):
    place = begun(client)
    past = timezone.now() - timedelta(seconds=1)
    Upload.objects.update(expires_at=past)

    assert head(client, place).status_code == 410
    assert patch(client, place, CONTENT, 0).status_code == 410


def test_a_complete_upload_is_not_written_again(client):
    place = begun(client)
    patch(client, place, CONTENT, 0)

    assert patch(client, place, CONTENT, 0).status_code in (409, 413)
    assert head(client, place)["Upload-Offset"] == str(len(CONTENT))


def test_a_method_may_be_named_in_a_header(client):
    place = begun(client)
    given = headers({"X-HTTP-Method-Override": "PATCH", "Upload-Offset": 0})
    kind = "application/offset+octet-stream"

    answer = client.post(place, CONTENT[:9], content_type=kind, headers=given)

    assert (answer.status_code, answer["Upload-Offset"]) == (204, "9")


def test_no_token_against_forgery_is_needed_and_no_form_can_do_it():
    client = Client(enforce_csrf_checks=True)

    place = begun(client)

    assert patch(client, place, CONTENT, 0).status_code == 204
    assert client.post(CREATE, {"Upload-Length": 5}).status_code == 412
