"""What is signed for S3: that a browser can send just what it was asked for.

No server is needed; test_s3.py has one.
"""

import base64
import hashlib
import hmac
import json
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.checks import run_checks

from dbqueue.exceptions import MissingExtra
from tests.fields.buckets import FILM, storages
from tests.support.processes import once

pytestmark = once

KEY = "async-temp-files/2026/01/01/0-song.mp3"
# Neither is a condition: the one is what they stand in, the other signs it.
NOT_SIGNED = {"policy", "x-amz-signature"}


def a_storage(**options):
    known = {"bucket_name": "songs", "region_name": "eu-central-1"}
    keys = {"access_key": "AKID", "secret_key": "hush"}
    s3 = storages("s3", "botocore")
    return s3.S3UploadStorage(
        **{**known, **keys, "addressing_style": "virtual", **options}
    )


@pytest.fixture(scope="module")
def storage():
    return a_storage()


def signed(storage, **changed):
    asked = {"content_type": "audio/mpeg", "max_size": 1000, "size": 77, "seconds": 60}
    return storage.sign_upload(KEY, field_id="album.song.film", **{**asked, **changed})


def policy_of(told):
    return json.loads(base64.b64decode(told["fields"]["policy"]))


def test_every_field_of_the_form_has_a_condition_that_leaves_no_choice(storage):
    told = signed(storage)

    exact, others = {}, []
    for condition in policy_of(told)["conditions"]:
        if isinstance(condition, dict):
            exact |= condition
        else:
            others.append(condition)
    fields = {k: v for k, v in told["fields"].items() if k not in NOT_SIGNED}
    assert exact == {"bucket": "songs", **fields}
    assert others == [["content-length-range", 77, 77]]
    assert exact["key"] == KEY
    assert exact["Content-Type"] == "audio/mpeg"
    assert exact["Content-Disposition"] == "attachment"
    assert set(exact) >= {"x-amz-algorithm", "x-amz-credential", "x-amz-date"}


def test_a_file_of_unknown_size_may_have_what_the_field_allows_and_not_be_empty(
    storage,
):
    conditions = policy_of(signed(storage, size=None))["conditions"]

    assert ["content-length-range", 1, 1000] in conditions


def test_the_policy_ends_in_time(storage):
    policy = policy_of(signed(storage, seconds=60))

    until = datetime.fromisoformat(policy["expiration"]).astimezone(UTC)
    assert until <= datetime.now(UTC) + timedelta(seconds=61)


def test_the_signature_is_that_of_the_policy_and_of_no_other(storage):
    fields = signed(storage)["fields"]

    key = b"AWS4hush"
    for word in fields["x-amz-credential"].split("/")[1:]:
        key = hmac.digest(key, word.encode(), "sha256")
    mac = hmac.new(key, fields["policy"].encode(), hashlib.sha256)
    assert fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert fields["x-amz-signature"] == mac.hexdigest()


def test_the_form_goes_to_the_buckets_own_region(storage):
    told = signed(storage)

    assert told["url"] == "https://songs.s3.eu-central-1.amazonaws.com/"
    assert (told["method"], told["fileFieldName"]) == ("POST", "file")


def test_options_of_the_client_do_not_bring_the_old_signature_back():
    from botocore.config import Config

    storage = a_storage(client_config=Config(connect_timeout=5))

    assert "x-amz-signature" in signed(storage)["fields"]
    assert storage.client_config.connect_timeout == 5


def test_a_file_that_waits_has_no_address(storage):
    with pytest.raises(ValueError, match="waits for its form"):
        storage.url(KEY)


def test_a_stored_file_is_one_to_save_unless_it_is_a_picture(storage):
    def asked(name, **params):
        url = storage.generate_download_url(name, "album.song.film", **params)
        return parse_qs(urlsplit(url).query)

    film = asked("films/a.html", expire=60)
    picture = asked("covers/a.png")

    assert film["response-content-disposition"] == ['attachment; filename="a.html"']
    assert film["X-Amz-Expires"] == ["60"]
    assert "response-content-disposition" not in picture
    assert picture["X-Amz-Expires"] == ["3600"]


def test_names_do_not_leave_the_folder_of_the_storage():
    from django.core.exceptions import SuspiciousOperation

    with pytest.raises(SuspiciousOperation):
        a_storage(location="media").sign_upload(
            "async-temp-files/../../secret",
            content_type="text/plain",
            max_size=1,
            size=1,
            seconds=1,
            field_id="x",
        )


def checked(monkeypatch, storage):
    monkeypatch.setattr(FILM, "storage", storage)
    monkeypatch.setattr(FILM, "perm_detail", "album.view_song")
    return {found.id: found.msg for found in run_checks(tags=["dbqueue_fields"])}


def test_a_storage_without_a_bucket_is_told(monkeypatch):
    found = checked(monkeypatch, a_storage(bucket_name=None))

    assert "no bucket_name" in found["dbqueue.E028"]


@pytest.mark.parametrize(
    "options",
    [
        {"querystring_auth": False},
        {"default_acl": "public-read"},
        {"custom_domain": "cdn.example.com"},
    ],
)
def test_a_bucket_that_all_may_read_is_told_where_somebody_may_not(
    monkeypatch, options
):
    found = checked(monkeypatch, a_storage(**options))

    assert "perm_detail" in found["dbqueue.W022"]


def test_a_private_bucket_is_as_it_should_be(monkeypatch, storage):
    found = checked(monkeypatch, storage)

    assert not {"dbqueue.E028", "dbqueue.W022"} & set(found)


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch, storage):
    monkeypatch.setitem(sys.modules, "botocore.config", None)
    monkeypatch.delitem(sys.modules, "dbqueue.fields.storages.s3")

    with pytest.raises(MissingExtra, match=r"'dbqueue-django\[s3\]'"):
        __import__("dbqueue.fields.storages.s3")


def test_the_page_is_told_to_send_the_file_to_the_bucket(monkeypatch, sender, storage):
    monkeypatch.setattr(FILM, "storage", storage)

    told = sender.begin(FILM, "<b>.mp4", size=77, contentType="text/html")

    where = told["uploadUrl"]
    assert where["provider"] == "s3"
    assert where["fields"]["Content-Type"] == "video/mp4"
    assert where["fields"]["key"].startswith("async-temp-files/")
    assert told["completeUrl"]
    assert told["tusUrl"] is None
