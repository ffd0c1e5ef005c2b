"""Who sends files, and how."""

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory

from dbqueue.fields import acting
from tests.album.models import Album, Song
from tests.imaging.pictures import data, quarters

ISSUE = "/uploads/generate-upload-url/"
COVER, BOOKLET = (Album._meta.get_field(name) for name in ("cover", "booklet"))
SHEET, TAKE = (Song._meta.get_field(name) for name in ("sheet", "take"))


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path


@pytest.fixture
def ada(db):
    return User.objects.create_superuser("ada")


@pytest.fixture
def bob(db):
    return User.objects.create_superuser("bob")


@pytest.fixture
def sender(ada):
    """Return Ada's browser."""
    return Sender(ada)


@pytest.fixture
def request_of():
    """Return a request that forms and models are told of while it lasts."""

    def request_of(user):
        request = RequestFactory().get("/")
        request.user, request.session = user, SessionStore()
        return request

    return request_of


@pytest.fixture
def as_ada(ada, request_of):
    with acting(request_of(ada)):
        yield ada


class Sender:
    """A browser, logged in or not."""

    def __init__(self, user=None):
        self.client = Client()
        if user is not None:
            self.client.force_login(user)

    def issue(self, field, filename="notes.txt", **more):
        asked = {"fieldId": field.async_field_id, "filename": filename, **more}
        return self.client.post(ISSUE, asked)

    def begin(self, field, filename="notes.txt", **more):
        answer = self.issue(field, filename, **more)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def put(self, begun, content=b"Dear all", name="notes.txt"):
        """Send the bytes without any cookie."""
        file = SimpleUploadedFile(name, content)
        return Client().post(begun["uploadUrl"]["url"], {"file": file})

    def send(self, field, content=b"Dear all", filename="notes.txt", **more):
        """Return the JSON of a file that is there."""
        begun = self.begin(field, filename, **more)
        answer = self.put(begun, content, filename)
        assert answer.status_code == 201, answer.content
        return {**begun, **answer.json()}


def picture(size=(16, 12)):
    return data(quarters(size), "PNG")


def stored(storage=default_storage, folder=""):
    """Return the names of all objects in a storage."""
    folders, files = storage.listdir(folder) if storage.exists(folder) else ([], [])
    found = {f"{folder}/{name}".lstrip("/") for name in files}
    for name in folders:
        found |= stored(storage, f"{folder}/{name}".lstrip("/"))
    return found
