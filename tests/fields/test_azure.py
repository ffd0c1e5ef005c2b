"""Files that browsers send to Azure, on a server that checks addresses."""

import secrets
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.utils import timezone

from dbqueue.fields import issuing, owners
from dbqueue.fields.forms.values import AsyncFileInputData
from dbqueue.models import Upload, UploadArtifact
from dbqueue.testing import run_jobs
from tests.fields.buckets import (
    CONTENT,
    FILM,
    brought,
    complete,
    read,
    saved,
    storages,
    sweep,
)
from tests.fields.conftest import Sender
from tests.support.buckets import ask, azurite
from tests.support.processes import on_demand

pytestmark = [on_demand, pytest.mark.django_db]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with azurite(tmp_path_factory.mktemp("azure")) as connection_string:
        yield connection_string


@pytest.fixture
def storage(server, monkeypatch):
    """Have the films of songs go to a container of their own."""
    azure = storages("azure", "azure")
    made = azure.AzureUploadStorage(
        connection_string=server, azure_container=f"songs-{secrets.token_hex(4)}"
    )
    made.client.create_container()
    monkeypatch.setattr(FILM, "storage", made)
    return made


def names(storage):
    return storage.list_all()


def put(told, content, url=None):
    """Send a file as a browser does; return the status."""
    headers = {name.replace("-", "_"): text for name, text in told["headers"].items()}
    return ask(told["method"], url or told["url"], content, **headers)[0]


def sent(sender, content=CONTENT, name="a.mp4"):
    told = sender.begin(FILM, name, size=len(content))
    assert put(told["uploadUrl"], content) == 201
    return told


def test_a_file_goes_to_the_container_and_from_there_to_the_field(
    sender, storage, as_ada
):
    told = sender.begin(FILM, "a.mp4", size=len(CONTENT))
    assert complete(sender, told).status_code == 409
    assert put(told["uploadUrl"], CONTENT) == 201
    assert complete(sender, told).status_code == 201
    assert complete(sender, told).status_code == 201

    song = brought(told)

    assert read(song.film) == CONTENT
    assert Upload.objects.get().state == "DONE"
    sweep()
    assert names(storage) == [song.film.name]


def test_a_file_is_sent_once(sender, storage, as_ada):
    told = sent(sender)

    assert put(told["uploadUrl"], CONTENT[::-1]) == 403
    complete(sender, told)
    song = saved(told)
    assert put(told["uploadUrl"], CONTENT[::-1]) == 403
    run_jobs()

    song.refresh_from_db()
    assert read(song.film) == CONTENT


def test_the_address_is_good_for_nothing_else(sender, storage):
    told = sent(sender)["uploadUrl"]
    (name,) = names(storage)

    assert ask("GET", told["url"])[0] == 403
    assert ask("DELETE", told["url"])[0] == 403
    for changed in ("films/other.mp4", f"{name}/../../films/x.mp4", name[:-1]):
        assert put(told, CONTENT, told["url"].replace(name, changed)) == 403
    assert put(told, CONTENT, told["url"].replace("sp=c", "sp=rcw")) == 403
    assert names(storage) == [name]


def test_what_comes_too_late_is_refused(storage):
    how = {"content_type": "video/mp4", "max_size": 100, "size": 4}
    told = storage.sign_upload("async-temp-files/x", **how, seconds=-5, field_id="x")

    assert put(told, b"late") == 403


OTHER = {"empty": b"", "less": CONTENT[:-1], "more": CONTENT + b"x"}


@pytest.mark.parametrize("content", OTHER.values(), ids=OTHER)
def test_a_file_of_another_size_is_deleted_when_it_has_come(sender, storage, content):
    told = sender.begin(FILM, "a.mp4", size=len(CONTENT))
    assert put(told["uploadUrl"], content) == 201

    assert complete(sender, told).status_code in (400, 409)

    assert names(storage) == []
    assert complete(sender, told).status_code == 410


def test_a_file_that_is_too_large_is_deleted_also_where_no_one_asked(
    sender, storage, as_ada, monkeypatch
):
    a_megabyte = FILM._policy(None, 1)
    monkeypatch.setattr(FILM, "upload_policy", a_megabyte)
    told = sender.begin(FILM, "a.mp4")
    assert put(told["uploadUrl"], b"x" * 2_000_000) == 201

    with pytest.raises(Exception, match="larger than"):
        saved(told)

    assert names(storage) == []


def test_what_is_no_picture_is_deleted_when_it_is_looked_at(
    sender, storage, monkeypatch
):
    monkeypatch.setattr(FILM, "file_restrictions", ["image/png"])
    monkeypatch.setattr(FILM, "upload_policy", FILM._policy(None, None))
    told = sent(sender, name="a.png")

    assert complete(sender, told).status_code == 400

    assert names(storage) == []


def test_what_another_user_sent_is_no_ones_else(bob, storage, as_ada):
    told = sent(Sender(bob))

    with pytest.raises(Exception, match="not known here"):
        saved(told)


def test_what_is_given_up_is_deleted_and_once_more_if_it_came_again(sender, storage):
    told = sent(sender)

    assert sender.client.post(told["cancelUrl"]).status_code == 204
    assert names(storage) == []
    assert put(told["uploadUrl"], CONTENT) == 201
    sweep()

    assert names(storage) == []
    assert not UploadArtifact.objects.exists()


def test_what_no_form_has_used_is_deleted(sender, storage):
    sent(sender)

    Upload.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    sweep()

    assert names(storage) == []
    assert not Upload.objects.exists()


def test_a_rollback_leaves_the_file_where_it_waits(sender, storage, as_ada):
    told = sent(sender)

    with transaction.atomic():
        saved(told)
        transaction.set_rollback(True)
    run_jobs()
    assert len(names(storage)) == 1

    assert read(brought(told).film) == CONTENT


def test_a_file_that_comes_with_its_form_is_kept_in_the_container(storage, as_ada):
    file = SimpleUploadedFile("a.mp4", CONTENT, "text/html")
    row = issuing.keep(owners.current_request(), FILM, file, None)

    (name,) = names(storage)
    found = storage.client.get_blob_client(name).get_blob_properties()
    assert found.content_settings.content_type == "application/octet-stream"
    data = AsyncFileInputData.of(row)
    assert read(brought({"key": data.key, "name": data.name}).film) == CONTENT


def test_the_address_of_a_stored_file_ends(sender, storage, as_ada):
    song = brought(sent(sender))

    answer = sender.client.get(song.film.url)
    status, headers = ask("GET", answer["Location"])
    late = storage.generate_download_url(song.film.name, "x", expire=-5)

    assert (status, headers["Content-Disposition"][:10]) == (200, "attachment")
    assert ask("GET", late)[0] == 403
    assert ask("PUT", answer["Location"], b"x", x_ms_blob_type="BlockBlob")[0] == 403
