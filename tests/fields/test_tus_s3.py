"""tus to S3: pieces wait in the database until they are a part."""

import hashlib
import json
import os
import signal
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from dbqueue.fields.exceptions import OffsetConflict
from dbqueue.fields.forms.values import AsyncFileInputData, key_of
from dbqueue.fields.models import FieldUpload
from dbqueue.fields.receiving import Receiver, finish
from dbqueue.models import Upload, UploadChunk
from dbqueue.testing import run_jobs
from dbqueue.uploads.chunks import CHUNK_SIZE
from dbqueue.uploads.exceptions import UploadUsed
from tests.album.models import Song
from tests.fields.buckets import FILM, read, sweep
from tests.fields.conftest import Sender
from tests.fields.test_s3 import LARGE, MIB, PART, a_bucket, names, unfinished
from tests.fields.test_tus import begun, create, head, patch
from tests.fields.test_tus_clients import (
    ALLOWED,
    a_film,
    by_tus,
    digest_of,
    needs_node,
    needs_tuspy,
    peak,
    serve,
    with_tus_js_client,
    with_tuspy,
)
from tests.support.buckets import KEYS, localstack
from tests.support.processes import on_demand, scaled, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [on_demand, pytest.mark.django_db(transaction=True)]

SIZE = 12_000_000  # bytes: two parts, and some
WHOLE = len(LARGE)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with localstack(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture
def bucket(address, monkeypatch):
    """Have the films of songs go to a bucket of their own."""
    return a_bucket(address, monkeypatch)


@pytest.fixture
def client(sender):
    return sender.client


@pytest.fixture
def server(start, tmp_path, address, bucket):
    """A web server of its own, whose films go to the same bucket."""
    options = {**KEYS, "bucket_name": bucket.bucket_name, "addressing_style": "path"}
    films = json.dumps({**options, "endpoint_url": address})
    return serve(start, tmp_path, site="tests.album.bucket_site", FILMS=films)


@pytest.fixture
def film(tmp_path):
    return a_film(tmp_path, SIZE)


def begin(client, size=WHOLE):
    return begun(client, FILM, size=size, filename="a.mp4")


def send(client, place, begin, end, step=MIB):
    """Send LARGE from a byte to another, in pieces."""
    for offset in range(begin, end, step):
        data = LARGE[offset : min(offset + step, end)]
        answer = patch(client, place, data, offset)
        assert answer.status_code == 204, answer.content


def offset(client, place):
    return int(head(client, place)["Upload-Offset"])


def row():
    return FieldUpload.objects.select_related("upload").get()


def parts(bucket):
    """Return the bytes of the parts that the bucket has."""
    lengths = bucket._lengths(bucket._upload(row().upload.held_as, row().parts))
    return [lengths[number] for number in sorted(lengths)]


def waiting():
    """Return the bytes that wait in the database to become a part."""
    return sum(len(chunk.data) for chunk in UploadChunk.objects.all())


def brought():
    """Save a song with the only upload; return it when the jobs have run."""
    song = Song(sheet="x.txt")
    song.film = AsyncFileInputData(key_of(row()), "a.mp4")
    song.save()
    run_jobs()
    song.refresh_from_db()
    return song


def received(bucket):
    """Return the digest of the object that waits in the bucket."""
    assert row().completed_at is not None
    with bucket.open(row().upload.held_as) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def breaking(bucket, event):
    """Have the next request of a kind break off, once."""

    def break_off():
        raise ConnectionError("as if the network was gone")

    once(bucket, event, break_off)


def once(bucket, event, act):
    """Act at the next request of a kind."""

    def handler(**given):
        bucket._client.meta.events.unregister(event, handler)
        act()

    bucket._client.meta.events.register(event, handler)


def test_pieces_become_parts_and_parts_a_file(client, bucket, as_ada):
    place = begin(client)

    send(client, place, 0, 7 * MIB)

    assert (parts(bucket), waiting(), names(bucket)) == ([PART], 2 * MIB, [])
    assert offset(client, place) == 7 * MIB
    send(client, place, 7 * MIB, WHOLE)
    assert not UploadChunk.objects.exists()
    song = brought()
    assert read(song.film) == LARGE
    assert Upload.objects.get().state == "DONE"
    sweep()
    assert (names(bucket), unfinished(bucket)) == ([song.film.name], [])


@pytest.mark.parametrize("size", [1, CHUNK_SIZE, PART, PART + 1])
def test_a_file_of_any_size_is_whole(client, bucket, as_ada, size):
    place = begin(client, size)

    assert patch(client, place, LARGE[:size], 0).status_code == 204

    assert read(brought().film) == LARGE[:size]


def test_an_upload_goes_on_when_the_bucket_answers_again(client, bucket, as_ada):
    place = begin(client)
    send(client, place, 0, 4 * MIB)
    breaking(bucket, "before-send.s3.UploadPart")

    with pytest.raises(ConnectionError):
        patch(client, place, LARGE[4 * MIB : 6 * MIB], 4 * MIB)

    at = offset(client, place)
    assert at >= PART
    assert (parts(bucket), waiting()) == ([], at)
    send(client, place, at, WHOLE)
    assert read(brought().film) == LARGE


def test_what_was_completed_and_not_noted_is_found(client, bucket, as_ada):
    place = begin(client)
    send(client, place, 0, 10 * MIB)
    breaking(bucket, "after-call.s3.CompleteMultipartUpload")

    with pytest.raises(ConnectionError):
        patch(client, place, LARGE[10 * MIB :], 10 * MIB)

    assert row().completed_at is None
    assert offset(client, place) == WHOLE
    assert read(brought().film) == LARGE


def test_what_the_bucket_did_not_begin_counts_for_nobody(client, bucket, settings):
    settings.DBQUEUE = {"FIELDS": {"COUNT_PER_OWNER": 1}}
    breaking(bucket, "after-call.s3.CreateMultipartUpload")

    with pytest.raises(ConnectionError):
        begin(client)

    assert begin(client)
    Upload.objects.filter(state="RECEIVING").update(expires_at=timezone.now())
    sweep()
    assert unfinished(bucket) == []


def test_what_was_completed_in_a_transaction_rolled_back_is_found(
    client, bucket, as_ada
):
    place = begin(client)
    send(client, place, 0, 10 * MIB)
    breaking(bucket, "before-send.s3.UploadPart")
    with pytest.raises(ConnectionError):
        patch(client, place, LARGE[10 * MIB :], 10 * MIB)

    with transaction.atomic():
        Song(film=AsyncFileInputData(key_of(row()), "a.mp4")).save()
        transaction.set_rollback(True)

    assert (row().completed_at, waiting()) == (None, MIB)
    assert read(brought().film) == LARGE
    assert not UploadChunk.objects.exists()


def test_what_another_request_completes_is_complete(client, bucket):
    place = begin(client, MIB)
    breaking(bucket, "before-send.s3.CompleteMultipartUpload")
    with pytest.raises(ConnectionError):
        patch(client, place, LARGE[:MIB], 0)
    held = row()

    once(bucket, "before-send.s3.CompleteMultipartUpload", lambda: finish(row()))
    with pytest.raises(UploadUsed):
        finish(held)

    assert row().completed_at is not None
    assert names(bucket) == [held.upload.held_as]


def test_what_is_given_up_leaves_no_parts(client, bucket):
    place = begin(client)
    send(client, place, 0, 6 * MIB)

    given = {"Tus-Resumable": "1.0.0"}
    assert client.delete(place, headers=given).status_code == 204

    assert (names(bucket), unfinished(bucket), waiting()) == ([], [], 0)
    assert patch(client, place, LARGE[6 * MIB :], 6 * MIB).status_code == 410


def test_nothing_is_written_behind_what_is_given_up(client, bucket):
    place = begin(client)
    receiver = Receiver(row())
    receiver.resume(0)

    client.delete(place, headers={"Tus-Resumable": "1.0.0"})

    with pytest.raises(OffsetConflict):
        receiver.write(LARGE[:MIB])
    assert waiting() == 0


def test_what_was_not_ended_in_time_is_deleted(client, bucket):
    place = begin(client)
    send(client, place, 0, 6 * MIB)

    Upload.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    sweep()

    assert (names(bucket), unfinished(bucket), waiting()) == ([], [], 0)
    assert not Upload.objects.exists()


def test_wrong_offsets_owners_and_sizes_are_refused(client, bucket, bob):
    place = begin(client)
    send(client, place, 0, MIB)

    assert patch(client, place, b"x", 0).status_code == 409
    assert patch(Sender(bob).client, place, b"x", MIB).status_code == 403
    assert patch(client, place, LARGE, MIB).status_code == 413
    assert create(client, FILM, size=10**12, filename="a.mp4").status_code == 413
    assert offset(client, place) == MIB


def test_an_upload_that_the_bucket_has_dropped_is_gone(client, bucket):
    place = begin(client)
    send(client, place, 0, 4 * MIB)
    upload = bucket._upload(row().upload.held_as, row().parts)
    bucket._client.abort_multipart_upload(**upload)

    answer = patch(client, place, LARGE[4 * MIB : 6 * MIB], 4 * MIB)

    assert answer.status_code == 410
    assert head(client, place).status_code == 410


@needs_tuspy
def test_tuspy_goes_on_with_an_upload(server, film, bucket):
    with_tuspy(server, "film", film)

    assert received(bucket) == digest_of(film)


@needs_node
def test_tus_js_client_goes_on_with_an_upload(server, film, bucket):
    with_tus_js_client(server, "film", film)

    assert received(bucket) == digest_of(film)


def test_an_upload_goes_on_after_its_web_process_was_killed(server, film, bucket):
    place, content = server.begin("film", SIZE), film.read_bytes()
    connection = server.half_a_patch(place, content[:7_000_000], 0, SIZE)
    wait_until(lambda: server.offset(place) > PART, "a part is there")
    (worker,) = server.process.below()

    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: server.process.below() - {worker}, "there is another")
    at = server.offset(place)
    answer = server.patch(place, content[at:], at)
    connection.close()

    assert (at >= PART, answer.status) == (True, 204)
    assert received(bucket) == digest_of(film)


def test_a_large_file_takes_little_of_the_servers_memory(
    server, tmp_path, bucket, record_property
):
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    by_tus(server, "film", a_film(small, SIZE))  # what is imported once, is
    (worker,) = server.process.below()
    before = peak(worker)

    by_tus(server, "film", a_film(large, scaled(30, 200) * 1_000_000))

    grown = peak(worker, reset=False) - before
    record_property("measured", f"by_tus to s3|{grown}|KiB||1.0")
    assert grown <= ALLOWED
