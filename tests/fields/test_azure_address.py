"""What is signed for Azure: an address that lets a browser create one file.

No server is needed; test_azure.py has one.
"""

import base64
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.checks import run_checks

from dbqueue.exceptions import MissingExtra
from tests.fields.buckets import FILM, storages
from tests.support.processes import once

pytestmark = once

KEY = "async-temp-files/2026/01/01/0-song.mp4"


def a_storage(**options):
    key = base64.b64encode(b"of the tests").decode()
    known = {"account_name": "films", "account_key": key, "azure_container": "songs"}
    azure = storages("azure", "azure")
    return azure.AzureUploadStorage(**{**known, **options})


def signed(storage, seconds=60):
    how = {"content_type": "video/mp4", "max_size": 100, "size": 4}
    return storage.sign_upload(KEY, **how, seconds=seconds, field_id="album.song.film")


def test_an_address_is_for_the_creation_of_one_file_and_ends():
    told = signed(a_storage())

    url = urlsplit(told["url"])
    signs = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.scheme, url.netloc) == ("https", "films.blob.core.windows.net")
    assert url.path == f"/songs/{KEY}"
    assert (signs["sp"], signs["sr"], signs["spr"]) == ("c", "b", "https")
    until = datetime.fromisoformat(signs["se"]).astimezone(UTC)
    assert until <= datetime.now(UTC) + timedelta(seconds=61)


def test_a_browser_is_told_what_to_send_with_it():
    told = signed(a_storage())

    assert (told["method"], told["fields"]) == ("PUT", {})
    assert told["headers"] == {
        "x-ms-blob-type": "BlockBlob",
        "x-ms-blob-content-disposition": "attachment",
        "Content-Type": "video/mp4",
    }


def test_a_file_that_waits_has_no_address():
    with pytest.raises(ValueError, match="waits for its form"):
        a_storage().url(KEY)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"azure_container": None}, "no azure_container"),
        ({"account_key": None, "sas_token": "sv=1"}, "neither an account_key"),
    ],
)
def test_a_storage_that_cannot_sign_is_told(monkeypatch, options, words):
    monkeypatch.setattr(FILM, "storage", a_storage(**options))

    found = {one.id: one.msg for one in run_checks(tags=["dbqueue_fields"])}

    assert words in found["dbqueue.E028"]


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch):
    a_storage()
    monkeypatch.setitem(sys.modules, "azure.storage.blob", None)
    monkeypatch.delitem(sys.modules, "dbqueue.fields.storages.azure")

    with pytest.raises(MissingExtra, match=r"'dbqueue-django\[azure\]'"):
        __import__("dbqueue.fields.storages.azure")


def test_files_of_such_a_field_are_not_taken_by_tus(monkeypatch, sender):
    monkeypatch.setattr(FILM, "storage", a_storage())
    id = base64.b64encode(FILM.async_field_id.encode()).decode()
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": "3",
        "Upload-Metadata": f"fieldId {id},filename YS5tcDQ=",
    }

    answer = sender.client.post("/uploads/tus/", headers=headers)

    assert (answer.status_code, "storage" in answer.json()["message"]) == (400, True)
