"""Request bodies that go straight into the database, through Django's own handlers."""

import io
import subprocess
import sys
from functools import partial
from wsgiref.util import setup_testing_defaults

import pytest
from asgiref.sync import async_to_sync
from django import forms
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile, StopUpload
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.test import AsyncClient
from django.urls import path
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from dbqueue.exceptions import UploadError
from dbqueue.imaging.policy import FilePolicy
from dbqueue.models import Upload, UploadChunk
from dbqueue.testing import run_jobs
from dbqueue.uploads import handlers
from dbqueue.uploads.chunks import CHUNK_SIZE
from dbqueue.uploads.handlers import BodyTooLarge
from dbqueue.uploads.saving import save_file
from tests.gallery.models import Profile
from tests.support.processes import ROOT

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

HANDLER = "dbqueue.uploads.handlers.BlobUploadHandler"
MIDDLEWARE = "dbqueue.uploads.middleware.UploadLimitMiddleware"
BOUNDARY = "boundary"


class LetterForm(forms.Form):
    letter = forms.FileField()
    name = forms.CharField()


def described(file):
    return {
        "kind": type(file).__name__,
        "name": file.name,
        "size": file.size,
        "type": file.content_type,
        "read": len(file.read()),
        "chunks": UploadChunk.objects.filter(upload=file.upload.pk).count(),
        "states": sorted(Upload.objects.values_list("state", flat=True)),
    }


@csrf_exempt
def look(request):
    files = [file for name in request.FILES for file in request.FILES.getlist(name)]
    return JsonResponse([described(file) for file in files], safe=False)


@csrf_exempt
def save(request):
    form = LetterForm(request.POST, request.FILES)
    if not form.is_valid():
        return JsonResponse(form.errors)
    profile = Profile.objects.create(name=form.cleaned_data["name"])
    policy = FilePolicy(max_size=40_000_000)
    save_file(request.FILES["letter"], profile, policy=policy)
    return JsonResponse({"saved": profile.pk})


@csrf_exempt
def save_and_fail(request):
    with transaction.atomic():
        save_file(request.FILES["letter"], Profile.objects.create())
        raise RuntimeError("The view fails")


@csrf_exempt
def explain(request):
    try:
        request.FILES["letter"]
    except UploadError as error:
        return HttpResponse(str(error))


async def look_later(request):
    return HttpResponse(len(request.FILES))


urlpatterns = [
    path("look", look),
    path("save", save),
    path("save-and-fail", save_and_fail),
    path("explain", explain),
    path("protected", csrf_protect(look)),
    path("async", csrf_exempt(look_later)),
]


@pytest.fixture(autouse=True)
def handled(settings, tmp_path):
    settings.FILE_UPLOAD_HANDLERS = [HANDLER]
    settings.MIDDLEWARE = [MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"]
    settings.MEDIA_ROOT = str(tmp_path)
    return settings


def a_file(size=11, name="letter.txt"):
    return SimpleUploadedFile(name, b"x" * size, "text/plain")


def nothing_left():
    return not Upload.objects.exists() and not UploadChunk.objects.exists()


CLOSING = f"\r\n--{BOUNDARY}--\r\n".encode()


def body(content=b"Dear all", end=CLOSING, headers=""):
    head = (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; "
        f'name="letter"; filename="letter.txt"\r\n{headers}\r\n'
    )
    return head.encode() + content + end


def send(client, data, url="/look"):
    return client.generic(
        "POST", url, data, f"multipart/form-data; boundary={BOUNDARY}"
    )


class TestAFileInABody:
    def test_a_file_in_a_body_is_in_the_database_when_the_view_gets_it(self, client):
        size = 2 * CHUNK_SIZE + 1

        answer = client.post("/look", {"letter": a_file(size)}).json()

        assert answer == [
            {
                "kind": "StreamedFile",
                "name": "letter.txt",
                "size": size,
                "type": "text/plain",
                "read": size,
                "chunks": 3,
                "states": ["RECEIVING"],
            }
        ]

    def test_a_file_in_a_body_goes_with_its_request(self, client):
        client.post("/look", {"letter": a_file()})

        assert nothing_left()

    def test_a_file_in_a_body_is_saved_without_being_copied(self, client):
        answer = client.post("/save", {"letter": a_file(), "name": "Ada"})

        upload = Upload.objects.get()
        assert (upload.state, upload.size) == ("STORED", 11)
        assert upload.chunks.count() == 1
        run_jobs()
        letter = Profile.objects.get(pk=answer.json()["saved"]).letter
        assert letter.read() == b"x" * 11

    def test_a_file_in_a_body_goes_when_its_form_does_not_validate(self, client):
        answer = client.post("/save", {"letter": a_file(), "name": ""})

        assert "name" in answer.json()
        assert nothing_left()

    def test_a_file_in_a_body_goes_when_the_view_fails(self, client):
        client.raise_request_exception = False

        answer = client.post("/save-and-fail", {"letter": a_file()})

        assert answer.status_code == 500
        assert nothing_left()

    def test_a_file_in_a_body_may_be_empty(self, client):
        answer = client.post("/save", {"letter": a_file(0), "name": "Ada"})

        assert answer.json() == {"letter": ["The submitted file is empty."]}
        assert nothing_left()

    def test_a_file_in_a_body_may_be_one_of_several(self, client):
        files = [a_file(size, f"{size}.txt") for size in (5, CHUNK_SIZE + 1, 7)]

        answer = client.post("/look", {"letter": files[:2], "other": files[2]}).json()

        assert [found["read"] for found in answer] == [5, CHUNK_SIZE + 1, 7]
        assert nothing_left()

    def test_a_file_in_a_body_has_a_name_without_surprises(self, client):
        names = [a_file(name=name) for name in ("../../etc/passwd", "con.txt")]

        answer = client.post("/look", {"letter": names}).json()

        assert [found["name"] for found in answer] == ["passwd", "_con.txt"]

    def test_a_file_in_a_body_may_come_in_base64(self, client):
        headers = "Content-Transfer-Encoding: base64\r\n"

        answer = send(client, body(b"RGVhciBhbGw=", headers=headers)).json()

        assert answer[0]["size"] == len("Dear all")

    def test_a_file_in_a_body_arrives_over_asgi(self, transactional_db):
        post = async_to_sync(AsyncClient().post)

        answer = post("/look", {"letter": a_file(CHUNK_SIZE + 1)})

        assert answer.json()[0]["read"] == CHUNK_SIZE + 1
        assert nothing_left()

    def test_a_file_in_a_body_is_not_received_in_an_event_loop(self, transactional_db):
        client = AsyncClient(raise_request_exception=False)

        answer = async_to_sync(client.post)("/async", {"letter": a_file()})

        assert answer.status_code == 500
        assert nothing_left()


class TestABodyThatBreaksOff:
    def test_a_body_that_breaks_off_in_a_file_leaves_nothing(self, client):
        answer = send(client, body(b"x" * 2 * CHUNK_SIZE, end=b""))

        assert answer.json() == []
        assert nothing_left()

    def test_a_body_that_breaks_off_with_the_connection_leaves_nothing(self, rf):
        class Torn(io.BytesIO):
            def read(self, size=-1):
                data = super().read(min(size, CHUNK_SIZE))
                if not data:
                    raise OSError("The client has gone.")
                return data

        request = rf.post("/", content_type=f"multipart/form-data; boundary={BOUNDARY}")
        torn = Torn(body(b"x" * 3 * CHUNK_SIZE, end=b""))
        request._stream, request.META["CONTENT_LENGTH"] = torn, str(9 * CHUNK_SIZE)

        with pytest.raises(OSError, match="The client has gone"):
            request.FILES  # noqa: B018  reads the body

        assert nothing_left()

    def test_a_body_that_breaks_off_after_a_whole_file_leaves_nothing(self, client):
        first = body(end=f"\r\n--{BOUNDARY}\r\n".encode())
        bad = "Content-Transfer-Encoding: base64\r\n"
        second = body(b"*", headers=bad).partition(b"\r\n")[2]

        answer = send(client, first + second)

        assert answer.status_code == 400
        assert nothing_left()

    def test_a_body_with_too_many_files_leaves_nothing(self, client, settings):
        settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2

        answer = client.post("/look", {"letter": [a_file(), a_file(), a_file()]})

        assert answer.status_code == 400
        assert nothing_left()

    def test_a_body_that_comes_while_the_database_is_away_leaves_nothing(
        self, client, monkeypatch
    ):
        client.raise_request_exception = False
        monkeypatch.setattr(handlers, "clean", lambda name: None)  # NOT NULL

        with transaction.atomic():
            answer = client.post("/look", {"letter": a_file()})
            transaction.set_rollback(True)

        assert answer.status_code == 500
        assert nothing_left()


class Skips(FileUploadHandler):
    def receive_data_chunk(self, raw_data, start):
        raise SkipFile

    def file_complete(self, file_size):
        return None


class Stops(Skips):
    def receive_data_chunk(self, raw_data, start):
        raise StopUpload


@pytest.mark.parametrize("other", [Skips, Stops])
def test_a_file_that_another_handler_ends_leaves_nothing(rf, other):
    request = rf.post("/", {"letter": a_file(), "name": "Ada"})
    request.upload_handlers = [other(request), handlers.BlobUploadHandler(request)]

    assert not request.FILES
    assert nothing_left()


class TestAFileThatIsTooLarge:
    @pytest.fixture(autouse=True)
    def limit(self, settings):
        settings.DBQUEUE = {"UPLOADS": {"MAX_SIZE": 2 * CHUNK_SIZE}}

    @pytest.mark.parametrize("url", ["/look", "/protected"])
    def test_a_file_that_is_too_large_is_answered_with_413_and_leaves_nothing(
        self, client, url
    ):
        client.handler.enforce_csrf_checks = True

        answer = client.post(url, {"letter": a_file(3 * CHUNK_SIZE)})

        assert answer.status_code == 413
        assert "larger than 0.524288 MB" in answer.text
        assert nothing_left()

    def test_a_file_that_is_too_large_is_answered_with_413_over_asgi(
        self, transactional_db
    ):
        post = async_to_sync(AsyncClient().post)

        answer = post("/look", {"letter": a_file(3 * CHUNK_SIZE)})

        assert answer.status_code == 413
        assert nothing_left()

    def test_a_file_that_is_too_large_is_answered_with_413_while_debugging(
        self, client, settings
    ):
        settings.DEBUG = True

        answer = client.post("/look", {"letter": a_file(3 * CHUNK_SIZE)})

        assert answer.status_code == 413

    def test_files_that_are_too_large_together_are_answered_with_413(
        self, client, settings
    ):
        settings.DBQUEUE = {"UPLOADS": {"MAX_REQUEST_SIZE": 3 * CHUNK_SIZE}}

        def post(*sizes):
            return client.post("/look", {"letter": [a_file(size) for size in sizes]})

        assert post(CHUNK_SIZE, CHUNK_SIZE).status_code == 200
        answer = post(CHUNK_SIZE, CHUNK_SIZE, 2 * CHUNK_SIZE)

        assert answer.status_code == 413
        assert "All files together are larger than 0.786432 MB" in answer.text
        assert nothing_left()

    def test_a_file_that_is_too_large_takes_the_files_before_it_along(self, client):
        files = [a_file(), a_file(3 * CHUNK_SIZE)]

        assert client.post("/look", {"letter": files}).status_code == 413
        assert nothing_left()

    @pytest.mark.parametrize(("longest", "read"), [(10**6, False), (10**7, True)])
    def test_a_file_that_is_too_large_is_read_to_its_end_unless_that_is_far(
        self, rf, monkeypatch, longest, read
    ):
        monkeypatch.setattr(handlers, "LONGEST_REST", longest)
        content = body(b"x" * 9 * CHUNK_SIZE)
        request = rf.generic(
            "POST", "/", content, f"multipart/form-data; boundary={BOUNDARY}"
        )

        with pytest.raises(BodyTooLarge):
            request.FILES  # noqa: B018  reads the body

        assert (request.read() == b"") is read
        assert nothing_left()

    def test_a_file_that_is_too_large_may_be_answered_by_the_view(self, client):
        answer = client.post("/explain", {"letter": a_file(3 * CHUNK_SIZE)})

        assert answer.status_code == 200
        assert "larger than" in answer.text

    def test_a_file_may_be_as_large_as_the_limit(self, client):
        answer = client.post("/look", {"letter": a_file(2 * CHUNK_SIZE)})

        assert answer.json()[0]["size"] == 2 * CHUNK_SIZE


def test_another_bad_request_stays_what_it_is(client, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 1

    answer = client.post("/look", {"a": 1, "b": 2, "c": 3, "d": 4})

    assert answer.status_code == 400


class TestTheQuotaOfAll:
    @pytest.fixture(autouse=True)
    def limit(self, settings):
        settings.DBQUEUE = {"UPLOADS": {"BYTES": CHUNK_SIZE}}

    def test_the_quota_of_all_refuses_a_body_that_it_has_no_room_for(self, client):
        answer = client.post("/look", {"letter": a_file(CHUNK_SIZE)})

        assert answer.status_code == 503
        assert answer["Retry-After"] == "60"
        assert "Please try again in a few minutes" in answer.text
        assert nothing_left()

    def test_the_quota_of_all_counts_what_waits_already(self, client):
        save = partial(client.post, "/save")
        save({"letter": a_file(CHUNK_SIZE // 2), "name": "Ada"})

        answer = save({"letter": a_file(CHUNK_SIZE // 2), "name": "Bob"})

        assert answer.status_code == 503
        assert Upload.objects.count() == 1


# A request of 32 MB, its body made on the way, in a process that measures itself.
BIG = """
from pathlib import Path
import django
django.setup()
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.test.utils import override_settings
from tests.uploads.test_handlers import HANDLER, big_environ
MB = 1_000_000
changes = {
    "FILE_UPLOAD_HANDLERS": [HANDLER],
    "ROOT_URLCONF": "tests.uploads.test_handlers",
    "DBQUEUE": {"UPLOADS": {"MAX_SIZE": 40 * MB}},
    "MIDDLEWARE": ["django.middleware.csrf.CsrfViewMiddleware"],
}
def post(size):
    told = []
    answer = WSGIHandler()(big_environ(size), lambda *status: told.append(status[0]))
    text = b"".join(answer)
    answer.close()
    assert told == ["200 OK"] and b"saved" in text, (told, text)
def peak():
    # Not ru_maxrss: it begins with that of the process which started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
with override_settings(**changes):
    post(MB)
    before = peak()
    post(32 * MB - 500)
    print(peak() - before)
"""


class Flow(io.RawIOBase):
    """A body's bytes, never there all at once."""

    def __init__(self, size):
        self._parts = iter([body(b"", b""), *([bytes(1000)] * (size // 1000)), END])
        self._rest = b""

    def read(self, size=-1):
        while len(self._rest) < size and (part := next(self._parts, b"")):
            self._rest += part
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


END = (
    f"\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; "
    f'name="name"\r\n\r\nAda\r\n--{BOUNDARY}--\r\n'
).encode()


def big_environ(size):
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/save",
        "CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}",
        "CONTENT_LENGTH": str(len(body(b"", b"")) + size // 1000 * 1000 + len(END)),
        "HTTP_HOST": "localhost",
        "wsgi.input": Flow(size),
    }
    setup_testing_defaults(environ)
    return environ


def test_a_body_of_32_mb_costs_the_process_less_than_16(database_url):
    ran = subprocess.run(
        [sys.executable, "-c", BIG],
        env={
            "DATABASE_URL": database_url,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": str(ROOT),
            "PATH": "",
        },
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    assert Upload.objects.filter(size__gt=31_000_000).count() == 1
    assert int(ran.stdout) < 16_000_000
