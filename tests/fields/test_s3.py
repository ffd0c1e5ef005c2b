"""Files that browsers send to S3, on a server that checks policies and addresses."""

import hashlib
import os
import secrets
import threading
from datetime import timedelta
from importlib import import_module
from itertools import count

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.utils import timezone

from dbqueue.fields import issuing, owners
from dbqueue.fields.forms.values import AsyncFileInputData
from dbqueue.fields.models import FieldUpload
from dbqueue.models import FinishedJob, Job, Upload, UploadArtifact, Worker
from dbqueue.testing import run_jobs
from tests.album.models import Song
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
from tests.model.test_crash_points import recover
from tests.support.buckets import KEYS, ask, localstack, post
from tests.support.crash import _die, dies_after
from tests.support.processes import on_demand

pytestmark = [on_demand, pytest.mark.django_db]

MIB = 2**20
PART = 5 * MIB  # the least that S3 takes
LARGE = os.urandom(MIB) * 11  # three parts
NEVER = 10**9


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with localstack(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def storage(server, monkeypatch):
    """Have the films of songs go to a bucket of their own."""
    return a_bucket(server, monkeypatch)


def a_bucket(server, monkeypatch):
    config = import_module("boto3.s3.transfer").TransferConfig(
        multipart_threshold=PART, multipart_chunksize=PART, use_threads=False
    )
    made = storages("s3", "botocore").S3UploadStorage(
        **KEYS,
        bucket_name=f"songs-{secrets.token_hex(4)}",
        endpoint_url=server,
        addressing_style="path",
        transfer_config=config,
    )
    made._client.create_bucket(Bucket=made.bucket_name)
    monkeypatch.setattr(FILM, "storage", made)
    return made


@pytest.fixture
def small_parts(monkeypatch):
    s3 = storages("s3", "botocore")
    monkeypatch.setattr(s3, "PARTS_FROM", PART)
    monkeypatch.setattr(s3, "LEAST_PART", PART)


def names(storage):
    listed = storage._client.list_objects_v2(Bucket=storage.bucket_name)
    return [found["Key"] for found in listed.get("Contents", ())]


def unfinished(storage):
    listed = storage._client.list_multipart_uploads(Bucket=storage.bucket_name)
    return [found["Key"] for found in listed.get("Uploads", ())]


def send_parts(told, content, numbers=None):
    size, urls = told["uploadUrl"]["parts"]["size"], told["uploadUrl"]["parts"]["urls"]
    for at in range(len(urls)) if numbers is None else numbers:
        status, _ = ask("PUT", urls[at], content[at * size : (at + 1) * size])
        assert status == 200


def test_a_file_goes_to_the_bucket_and_from_there_to_the_field(sender, storage, as_ada):
    told = sender.begin(FILM, "a.mp4", size=len(CONTENT))
    assert complete(sender, told).status_code == 409
    assert post(told["uploadUrl"], CONTENT) == 201
    assert complete(sender, told).status_code == 201
    assert complete(sender, told).status_code == 201

    song = brought(told)

    assert read(song.film) == CONTENT
    assert Upload.objects.get().state == "DONE"
    sweep()
    assert names(storage) == [song.film.name]


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        pytest.param(b"", {}, id="empty"),
        pytest.param(CONTENT[:-1], {}, id="a byte less"),
        pytest.param(CONTENT + b"x", {}, id="a byte more"),
        pytest.param(CONTENT, {"key": "films/anothers.mp4"}, id="another key"),
        pytest.param(
            CONTENT, {"key": "async-temp-files/../films/x.mp4"}, id="a path trick"
        ),
        pytest.param(CONTENT, {"Content-Type": "text/html"}, id="another type"),
        pytest.param(CONTENT, {"Content-Disposition": "inline"}, id="to be shown"),
    ],
)
def test_the_bucket_refuses_what_is_not_in_the_policy(
    sender, storage, content, changed
):
    told = sender.begin(FILM, "a.mp4", size=len(CONTENT))

    assert 400 <= post(told["uploadUrl"], content, **changed) < 500

    assert names(storage) == []


def test_the_bucket_refuses_what_comes_too_late(storage):
    how = {"content_type": "video/mp4", "max_size": 100, "size": 4}
    told = storage.sign_upload("async-temp-files/x", **how, seconds=-5, field_id="x")

    assert post(told, b"late") == 403


def test_a_size_that_is_not_told_is_one_that_the_field_allows(
    sender, storage, monkeypatch
):
    a_megabyte = FILM._policy(None, 1)
    monkeypatch.setattr(FILM, "upload_policy", a_megabyte)
    told = sender.begin(FILM, "a.mp4")

    assert post(told["uploadUrl"], b"x" * (MIB + 1)) == 400
    assert post(told["uploadUrl"], b"x" * MIB) == 201
    assert complete(sender, told).status_code == 201
    assert Upload.objects.get().size == MIB


def test_what_is_no_film_is_deleted_when_it_is_looked_at(sender, storage, monkeypatch):
    monkeypatch.setattr(FILM, "file_restrictions", ["image/png"])
    monkeypatch.setattr(FILM, "upload_policy", FILM._policy(None, None))
    told = sender.begin(FILM, "a.png", size=len(CONTENT))
    assert post(told["uploadUrl"], CONTENT) == 201

    assert complete(sender, told).status_code == 400

    assert names(storage) == []


def test_what_another_user_sent_is_no_ones_else(sender, bob, storage, as_ada):
    told = Sender(bob).begin(FILM, "a.mp4", size=len(CONTENT))
    post(told["uploadUrl"], CONTENT)
    complete(sender, told)

    with pytest.raises(Exception, match="not known here"):
        saved(told)


def test_what_is_sent_again_after_the_check_is_what_the_worker_checks(
    sender, storage, as_ada
):
    told = sender.begin(FILM, "a.mp4", size=len(CONTENT))
    post(told["uploadUrl"], CONTENT)
    complete(sender, told)
    song = saved(told)
    other = bytes(reversed(CONTENT))

    assert post(told["uploadUrl"], other) == 201
    run_jobs()

    song.refresh_from_db()
    assert read(song.film) == other
    post(told["uploadUrl"], CONTENT)
    assert read(song.film) == other
    sweep()
    assert names(storage) == [song.film.name]


def test_what_is_given_up_is_deleted_and_once_more_if_it_came_again(sender, storage):
    told = sender.begin(FILM, "a.mp4", size=len(CONTENT))
    post(told["uploadUrl"], CONTENT)

    assert sender.client.post(told["cancelUrl"]).status_code == 204
    assert names(storage) == []
    assert post(told["uploadUrl"], CONTENT) == 201
    sweep()

    assert names(storage) == []
    assert not UploadArtifact.objects.exists()


def test_what_no_form_has_used_is_deleted(sender, storage, small_parts):
    whole = sender.begin(FILM, "a.mp4", size=len(CONTENT))
    post(whole["uploadUrl"], CONTENT)
    told = sender.begin(FILM, "b.mp4", size=len(LARGE))
    send_parts(told, LARGE, [1])
    assert len(unfinished(storage)) == len(names(storage)) == 1

    Upload.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    sweep()

    assert (names(storage), unfinished(storage)) == ([], [])
    assert not Upload.objects.exists()


def test_a_rollback_leaves_the_file_where_it_waits(sender, storage, as_ada):
    told = sender.begin(FILM, "a.mp4", size=len(CONTENT))
    post(told["uploadUrl"], CONTENT)

    with transaction.atomic():
        saved(told)
        transaction.set_rollback(True)
    run_jobs()
    assert len(names(storage)) == 1
    song = brought(told)

    assert read(song.film) == CONTENT
    sweep()
    assert names(storage) == [song.film.name]


def test_a_large_file_goes_in_parts_in_any_order(sender, storage, small_parts, as_ada):
    told = sender.begin(FILM, "a.mp4", size=len(LARGE))
    assert len(told["uploadUrl"]["parts"]["urls"]) == 3

    send_parts(told, LARGE, [2, 0])
    assert complete(sender, told).status_code == 409
    missing = sender.client.get(told["completeUrl"]).json()
    assert [bool(url) for url in missing["urls"]] == [False, True, False]
    send_parts(told, LARGE, [1])
    assert complete(sender, told).status_code == 201
    assert complete(sender, told).status_code == 201
    song = brought(told)

    found = hashlib.sha256(read(song.film)).hexdigest()
    assert found == hashlib.sha256(LARGE).hexdigest()
    sweep()
    assert (names(storage), unfinished(storage)) == ([song.film.name], [])


def test_parts_of_what_is_given_up_are_deleted(sender, storage, small_parts):
    told = sender.begin(FILM, "a.mp4", size=len(LARGE))
    other = sender.begin(FILM, "b.mp4", size=len(LARGE))
    send_parts(told, LARGE, [0])
    send_parts(other, LARGE, [0])

    sender.client.post(told["cancelUrl"])

    row = FieldUpload.objects.get(upload__state="RECEIVING")
    assert unfinished(storage) == [row.upload.held_as]
    assert complete(sender, told).status_code == 410
    assert sender.client.get(told["completeUrl"]).status_code == 410
    late, _ = ask("PUT", told["uploadUrl"]["parts"]["urls"][1], LARGE[PART : 2 * PART])
    assert late == 404


def test_a_part_has_its_own_address_and_length(sender, storage, small_parts):
    told = sender.begin(FILM, "a.mp4", size=len(LARGE))
    first, second, _ = told["uploadUrl"]["parts"]["urls"]

    changed = first.replace("partNumber=1", "partNumber=7")
    assert ask("PUT", changed, LARGE[:PART])[0] == 403
    assert ask("PUT", second, LARGE[: PART + 1])[0] == 403
    assert complete(sender, told).status_code == 409


def test_a_file_that_comes_with_its_form_is_kept_in_the_bucket(sender, storage, as_ada):
    file = SimpleUploadedFile("a.mp4", CONTENT, "text/html")
    row = issuing.keep(owners.current_request(), FILM, file, None)

    (name,) = names(storage)
    found = storage._client.head_object(Bucket=storage.bucket_name, Key=name)
    assert found["ContentType"] == "application/octet-stream"
    data = AsyncFileInputData.of(row)
    song = brought({"key": data.key, "name": data.name})
    assert read(song.film) == CONTENT


def test_the_address_of_a_stored_file_ends(sender, storage, as_ada):
    told = sender.begin(FILM, "a.mp4", size=len(CONTENT))
    post(told["uploadUrl"], CONTENT)
    song = brought(told)

    answer = sender.client.get(song.film.url)
    status, headers = ask("GET", answer["Location"])
    late = storage.generate_download_url(song.film.name, "x", expire=-5)

    assert (status, headers["Content-Disposition"][:10]) == (200, "attachment")
    assert ask("GET", late)[0] == 403


def test_a_file_that_is_replaced_is_deleted_where_that_is_wished(
    sender, storage, as_ada, monkeypatch
):
    monkeypatch.setattr(FILM, "replaced", "delete")
    sent = []
    for number in range(2):
        told = sender.begin(FILM, "a.mp4", size=len(CONTENT))
        post(told["uploadUrl"], CONTENT[number:] + CONTENT[:number])
        complete(sender, told)
        sent.append(told)
    song = brought(sent[0])
    first = song.film.name
    song.film = AsyncFileInputData(sent[1]["key"], "a.mp4")
    song.save()
    run_jobs()
    song.refresh_from_db()

    sweep()

    assert song.film.name != first
    assert names(storage) == [song.film.name]


@pytest.mark.usefixtures("quiet", "small_parts", "as_ada")
@pytest.mark.django_db(transaction=True)
class TestAWorkerThatDies:
    """While it moves a film."""

    def test_before_and_after_any_request_to_the_bucket(self, sender, storage):
        """The film is stored in three parts."""
        deaths = 0
        for number in count(1):
            if not self.act(sender, storage, LARGE, request=number):
                break
            deaths += 1
        assert deaths >= 10

    def test_after_any_statement(self, sender, storage):
        deaths = 0
        for number in count(1):
            if not self.act(sender, storage, CONTENT, statement=number):
                break
            deaths += 1
        assert deaths >= 10

    def act(self, sender, storage, content, *, statement=NEVER, request=NEVER):
        """Have a worker die once; return whether it did."""
        told = sender.begin(FILM, "a.mp4", size=len(content))
        if "parts" in told["uploadUrl"]:
            send_parts(told, content)
        else:
            assert post(told["uploadUrl"], content) == 201
        assert complete(sender, told).status_code == 201
        song = saved(told)

        def work():
            afresh(storage)
            requests(storage, request)
            run_jobs()

        died = dies_after(statement, work)
        song.refresh_from_db()
        assert not song.film or read(song.film) == content
        recover()
        song.refresh_from_db()
        assert read(song.film) == content
        sweep()
        assert (names(storage), unfinished(storage)) == ([song.film.name], [])
        self.clear(storage, song)
        return died

    def clear(self, storage, song):
        storage.delete(song.film.name)
        for model in (Job, FinishedJob, Worker, Upload, Song):
            model.objects.all().delete()


def requests(storage, limit):
    """Have this process die before its n-th request, or after it was answered."""
    seen = count(1)

    def look(**kwargs):
        if next(seen) == limit:
            _die()

    events = storage._client.meta.events
    events.register("before-send.s3", look)
    events.register("after-call.s3", look)


def afresh(storage):
    """Have a forked process use no connection of the one that forked it."""
    storage._connections, storage._bucket = threading.local(), None
