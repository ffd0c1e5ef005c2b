"""tus as its clients speak it, to a real server: cut off, resumed, twice at once."""

import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from dbqueue.fields.models import FieldUpload
from dbqueue.uploads.chunks import CHUNK_SIZE, pieces
from tests.album.models import Song
from tests.browser.test_photo import _free_port
from tests.fields.test_tus import encoded
from tests.support.buckets import NODE_MODULES
from tests.support.processes import ROOT, on_demand, scaled, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

KINDS = ["sheet", "film"]  # through the database, and to a folder
IN_TURN = [pytest.param("sheet", marks=on_demand), "film"]
ALLOWED = 16 * 1024  # KiB that a server may grow by
BOUNDARY = "boundary" * 4  # long: no film has it by chance
FORGERY = "t" * 32  # what shows that a request is none
SIZE = 3_000_000  # bytes
TUS = {"Tus-Resumable": "1.0.0"}
NODE = shutil.which("node") if (NODE_MODULES / "tus-js-client").exists() else None

JAVASCRIPT = """
const tus = require("tus-js-client");
const fs = require("fs");
const [endpoint, path, fieldId, Cookie] = process.argv.slice(2);
let cut = false;
const upload = new tus.Upload(fs.readFileSync(path), {
  endpoint, metadata: { fieldId, filename: "film.mp4", filetype: "video/mp4" },
  headers: { Cookie }, chunkSize: 1000000, retryDelays: [0, 100, 500],
  storeFingerprintForResuming: false,
  onProgress: (sent) => {
    if (cut || sent < 1500000) return;
    cut = true;
    upload.abort().then(() => upload.start()); // in the middle of a piece
  },
  onError: (error) => { console.error(error); process.exit(1); },
  onSuccess: () => console.log(JSON.stringify({ cut })),
});
upload.start();
"""


needs_tuspy = pytest.mark.skipif(
    not find_spec("tusclient"), reason="NO TUSPY HERE: pip install tuspy"
)
needs_node = pytest.mark.skipif(
    not NODE,
    reason="NO TUS-JS-CLIENT HERE: run tests/servers, or npm install tus-js-client and "
    "name its folder node_modules in DBQUEUE_TEST_NODE_MODULES",
)


class Server:
    """A real server of the tests' pages, in another process."""

    def __init__(self, process, port, cookie):
        self.process = process
        self.port = port
        self.cookie = cookie

    def address(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method, path, body=None, **more):
        """Return the answer's status and headers."""
        connection = self.connect()
        connection.request(method, path, body, self.headers(**more))
        answer = connection.getresponse()
        answer.text = answer.read().decode()
        connection.close()
        return answer

    def headers(self, **more):
        given = {name.replace("_", "-"): str(value) for name, value in more.items()}
        return {**TUS, "Cookie": self.cookie, "X-CSRFToken": FORGERY, **given}

    def begin(self, field, size):
        """Create an upload; return where it goes."""
        id = Song._meta.get_field(field).async_field_id
        metadata = f"fieldId {encoded(id)},filename {encoded('film.mp4')}"
        more = {"Upload_Length": size, "Upload_Metadata": metadata}
        answer = self.ask("POST", "/uploads/tus/", **more)
        assert answer.status == 201, answer.text
        return urlsplit(answer.getheader("Location")).path

    def offset(self, place):
        return int(self.ask("HEAD", place).getheader("Upload-Offset"))

    def patch(self, place, data, offset):
        return self.ask("PATCH", place, data, **piece(offset))

    def half_a_patch(self, place, data, offset, length):
        """Begin to send a piece; return the connection, with the rest to come."""
        connection = self.connect()
        connection.putrequest("PATCH", place)
        more = {**piece(offset), "Content_Length": length}
        for name, value in self.headers(**more).items():
            connection.putheader(name, value)
        connection.endheaders(data)
        return connection


def piece(offset):
    kind = "application/offset+octet-stream"
    return {"Upload_Offset": offset, "Content_Type": kind}


@pytest.fixture
def server(start, tmp_path):
    return serve(start, tmp_path)


def serve(start, tmp_path, *, site="tests.album.site", **environment):
    """Start a web server, and log in."""
    pytest.importorskip("gunicorn")
    port = _free_port()
    words = ("-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--threads", "4")
    app = "django.core.wsgi:get_wsgi_application()"
    given = {
        "MEDIA_ROOT": str(tmp_path / "media"),
        "ALLOWED_HOSTS": ["127.0.0.1"],
        "ROOT_URLCONF": site,
    }
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, *words, app]
    process = start(command, [], settings=given, **environment)
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    name = settings.SESSION_COOKIE_NAME
    cookie = f"{name}={client.cookies[name].value}; csrftoken={FORGERY}"
    process.wait_for_output("Listening at")
    return Server(process, port, cookie)


@pytest.fixture
def film(tmp_path):
    return a_film(tmp_path, SIZE)


def a_film(folder, size):
    """Write a file that nothing compresses; return its path."""
    path, block = folder / "film.mp4", os.urandom(1_000_000)
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
    return path


def digest_of(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def received(tmp_path):
    """Return the digest of the bytes that are there of the only upload."""
    row = FieldUpload.objects.select_related("upload").get()
    assert row.completed_at is not None
    if row.upload.held_as:
        return digest_of(tmp_path / "media" / row.upload.held_as)
    digest = hashlib.sha256()
    for data in pieces(row.upload):
        digest.update(data)
    return digest.hexdigest()


@pytest.mark.parametrize("field", KINDS)
def test_an_upload_goes_on_where_the_connection_was_cut(server, film, tmp_path, field):
    place, content = server.begin(field, SIZE), film.read_bytes()

    connection = server.half_a_patch(place, content[:1_000_000], 0, SIZE)
    wait_until(lambda: server.offset(place) >= 3 * CHUNK_SIZE, "a part is there")
    connection.sock.close()
    wait_until(lambda: server.offset(place) == 1_000_000, "all that was sent is there")
    answer = server.patch(place, content[1_000_000:], 1_000_000)

    assert (answer.status, answer.getheader("Upload-Offset")) == (204, str(SIZE))
    assert received(tmp_path) == digest_of(film)


@on_demand
@pytest.mark.parametrize("field", KINDS)
def test_an_upload_goes_on_after_its_web_process_was_killed(
    server, film, tmp_path, field
):
    place, content = server.begin(field, SIZE), film.read_bytes()
    connection = server.half_a_patch(place, content[:1_000_000], 0, SIZE)
    wait_until(lambda: server.offset(place) == 3 * CHUNK_SIZE, "a part is there")
    (worker,) = server.process.below()

    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: server.process.below() - {worker}, "there is another")
    offset = server.offset(place)
    answer = server.patch(place, content[offset:], offset)
    connection.close()

    assert (offset, answer.status) == (3 * CHUNK_SIZE, 204)
    assert received(tmp_path) == digest_of(film)


@pytest.mark.parametrize("field", IN_TURN)
def test_of_two_at_once_the_one_that_is_behind_is_a_conflict(
    server, film, tmp_path, field
):
    place, content = server.begin(field, SIZE), film.read_bytes()
    ahead = server.half_a_patch(place, content[:1_000_000], 0, SIZE)
    wait_until(lambda: server.offset(place) >= CHUNK_SIZE, "one has begun")

    behind = server.patch(place, os.urandom(SIZE), 0)
    ahead.send(content[1_000_000:])

    assert behind.status == 409
    assert ahead.getresponse().status == 204
    assert received(tmp_path) == digest_of(film)


@pytest.mark.parametrize("field", IN_TURN)
def test_who_goes_on_takes_over_from_a_connection_that_hangs(
    server, film, tmp_path, field
):
    place, content = server.begin(field, SIZE), film.read_bytes()
    hanging = server.half_a_patch(place, content[:1_000_000], 0, SIZE)
    wait_until(lambda: server.offset(place) == 3 * CHUNK_SIZE, "one has begun")

    offset = server.offset(place)
    answer = server.patch(place, content[offset:], offset)
    hanging.send(content[1_000_000:])

    assert answer.status == 204
    assert hanging.getresponse().status == 409
    assert received(tmp_path) == digest_of(film)


def with_tuspy(server, field, film):
    """Send a file with a client that begins, and with another that goes on."""
    from tusclient.client import TusClient

    client = TusClient(server.address("/uploads/tus/"), {"Cookie": server.cookie})
    metadata = {"fieldId": Song._meta.get_field(field).async_field_id}
    metadata["filename"] = "film.mp4"
    more = {"chunk_size": 1_000_000, "upload_checksum": True}

    first = client.uploader(str(film), metadata=metadata, **more)
    first.upload(stop_at=1_000_000)
    client.uploader(str(film), url=first.url, **more).upload()


def with_tus_js_client(server, field, film):
    """Send a file with a client that breaks off in the middle of a piece."""
    id = Song._meta.get_field(field).async_field_id
    where = (server.address("/uploads/tus/"), str(film), id, server.cookie)

    done = subprocess.run(
        [NODE, "-e", JAVASCRIPT, "client", *where],
        env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"cut": True}


@needs_tuspy
@pytest.mark.parametrize("field", IN_TURN)
def test_tuspy_goes_on_with_an_upload(server, film, tmp_path, field):
    with_tuspy(server, field, film)

    assert received(tmp_path) == digest_of(film)


@needs_node
@pytest.mark.parametrize("field", IN_TURN)
def test_tus_js_client_goes_on_with_an_upload(server, film, tmp_path, field):
    with_tus_js_client(server, field, film)

    assert received(tmp_path) == digest_of(film)


def a_put(server, field, path):
    """Send a file whole, as the body of a request."""
    _send(server, field, path, lambda file: file, "PUT", {})


def a_form(server, field, path):
    """Send a file whole, in a form."""
    body, more = _multipart("file", path)
    _send(server, field, path, body, "POST", more)


def a_page(server, field, path):
    """Send a file with the form of a page that has no script."""
    body, more = _multipart(field, path)
    with path.open("rb") as file:
        answer = server.ask("POST", "/song/", body(file), **more)
    assert answer.status == 201, answer.text


def _multipart(name, path):
    """Return a function of a file that yields a body, and its headers."""
    disposition = f'form-data; name="{name}"; filename="film.mp4"'
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()

    def body(file):
        yield head
        while data := file.read(CHUNK_SIZE):
            yield data
        yield tail

    size = path.stat().st_size + len(head) + len(tail)
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return body, {"Content_Type": kind, "Content_Length": size}


def by_tus(server, field, path):
    """Send a file in one piece of tus."""
    size = path.stat().st_size
    place = server.begin(field, size)
    with path.open("rb") as file:
        more = {**piece(0), "Content_Length": size}
        answer = server.ask("PATCH", place, file, **more)
    assert answer.status == 204, answer.text


def _send(server, field, path, body, method, more):
    size = path.stat().st_size
    id = Song._meta.get_field(field).async_field_id
    asked = f"fieldId={id}&filename=film.mp4&size={size}"
    kind = {"Content_Type": "application/x-www-form-urlencoded"}
    told = json.loads(
        server.ask("POST", "/uploads/generate-upload-url/", asked, **kind).text
    )
    with path.open("rb") as file:
        more = {"Content_Length": size, **more}
        answer = server.ask(method, told["uploadUrl"]["url"], body(file), **more)
    assert answer.status == 201, answer.text


@on_demand
@pytest.mark.parametrize("send", [a_put, a_form, by_tus, a_page])
@pytest.mark.parametrize("field", KINDS)
def test_a_large_file_takes_little_of_the_servers_memory(
    server, tmp_path, field, send, record_property
):
    # A database takes 100 MB at most.
    size = scaled(20, 200 if field == "film" else 100) * 1_000_000
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    send(server, field, a_film(small, SIZE))  # what is imported once, is
    (worker,) = server.process.below()
    before = peak(worker)

    send(server, field, a_film(large, size))

    grown = peak(worker, reset=False) - before
    record_property("measured", f"{send.__name__} to {field}|{grown}|KiB||1.0")
    assert grown <= ALLOWED


@on_demand
def test_a_large_download_takes_little_of_the_servers_memory(
    server, tmp_path, record_property
):
    size = scaled(20, 200) * 1_000_000
    media = tmp_path / "media"
    (media / "small").mkdir(parents=True)
    a_film(media / "small", SIZE)
    large = a_film(media, size)
    fetched(server, "small/film.mp4")  # what is imported once, is
    (worker,) = server.process.below()
    before = peak(worker)

    digest = fetched(server, "film.mp4")

    grown = peak(worker, reset=False) - before
    record_property("measured", f"download|{grown}|KiB||1.0")
    assert digest == digest_of(large)
    assert grown <= ALLOWED


def fetched(server, name):
    """Return the digest of what a song's film is to a browser."""
    song = Song.objects.create(film=name)
    id = Song._meta.get_field("film").async_field_id
    address = f"/uploads/download-file/?fieldId={id}&instanceId={song.pk}"
    place = server.ask("GET", address).getheader("Location")
    connection = server.connect()
    connection.request("GET", place, headers=server.headers())
    answer, digest = connection.getresponse(), hashlib.sha256()
    while data := answer.read(CHUNK_SIZE):
        digest.update(data)
    connection.close()
    return digest.hexdigest()


def peak(pid, reset=True):
    """Return the most memory that a process had since the last reset, in KiB."""
    process = Path(f"/proc/{pid}")
    if reset:
        (process / "clear_refs").write_text("5")
    lines = (process / "status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return int(found["VmHWM"].split()[0])
