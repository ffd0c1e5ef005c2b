"""Upload fields in Django REST framework, and without it."""

import json
import subprocess
import sys

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import include, path
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.permissions import AllowAny
from rest_framework.serializers import ModelSerializer
from rest_framework.viewsets import ModelViewSet

from dbqueue.exceptions import MissingExtra
from dbqueue.fields.drf import SERIALIZER_FIELDS, AsyncFileField, UploadUrlView
from dbqueue.testing import run_jobs
from tests.album.models import Album, Song
from tests.fields.conftest import BOOKLET, COVER, SHEET, Sender, picture
from tests.support.processes import once

pytestmark = [pytest.mark.django_db, once, pytest.mark.urls(__name__)]
urlpatterns = [path("uploads/", include("dbqueue.fields.urls"))]


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "rest_framework", None)
    monkeypatch.delitem(sys.modules, "dbqueue.fields.drf", raising=False)

    with pytest.raises(MissingExtra, match=r"'dbqueue-django\[drf\]'"):
        __import__("dbqueue.fields.drf")


def test_nothing_else_imports_it():
    code = (
        "import django; django.setup(); import dbqueue.fields.urls, sys; "
        "assert 'rest_framework' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert not done.returncode, done.stderr


class ByName(BaseAuthentication):
    """Stands for tokens of an API: a header has the name of the user."""

    def authenticate(self, request):
        name = request.headers.get("X-User")
        return (User.objects.get(username=name), None) if name else None

    def authenticate_header(self, request):
        return "Name"


class WithUploads(ModelSerializer):
    serializer_field_mapping = {
        **ModelSerializer.serializer_field_mapping,
        **SERIALIZER_FIELDS,
    }


class AlbumSerializer(WithUploads):
    class Meta:
        model = Album
        fields = ("id", "title", "cover", "booklet")


class SongSerializer(ModelSerializer):
    sheet = AsyncFileField()

    class Meta:
        model = Song
        fields = ("sheet",)


class Albums(ModelViewSet):
    queryset = Album.objects.order_by("pk")
    serializer_class = AlbumSerializer
    authentication_classes = [ByName]
    permission_classes = [AllowAny]
    parser_classes = [JSONParser, MultiPartParser, FormParser]


class Begin(UploadUrlView):
    authentication_classes = [ByName]


urlpatterns += [
    path("albums/", Albums.as_view({"post": "create"})),
    path(
        "albums/<int:pk>/",
        Albums.as_view({"patch": "partial_update", "get": "retrieve"}),
    ),
    path("begin/", Begin.as_view()),
]


class Api:
    """A program that is known by a header, and has no session."""

    def __init__(self, user):
        self.headers = {"X-User": user.username}

    def call(self, method, url, data, kind="application/json"):
        client, body = Client(headers=self.headers), data
        if kind != "application/json":
            return getattr(client, method)(url, data)
        return getattr(client, method)(url, json.dumps(body), content_type=kind)

    def send(self, field, content, filename, **more):
        asked = {"fieldId": field.async_field_id, "filename": filename, **more}
        begun = self.call("post", "/begin/", asked)
        assert begun.status_code == 200, begun.content
        Sender().put(begun.json(), content, filename)
        return {"key": begun.json()["key"], "name": filename}


def named(sent):
    return {"key": sent["key"], "name": sent["name"]}


@pytest.fixture
def api(ada):
    return Api(ada)


def test_a_program_without_a_session_sends_and_saves_a_file(api):
    sent = api.send(COVER, picture(), "a.png", size=len(picture()))

    answer = api.call("post", "/albums/", {"title": "First", "cover": sent})
    assert answer.status_code == 201, answer.content
    run_jobs()

    album = Album.objects.get()
    assert (album.cover_width, album.cover_height) == (16, 12)
    shown = api.call("get", f"/albums/{album.pk}/", {}, "").json()
    name = album.cover.name
    assert shown["cover"]["key"] == name
    assert shown["cover"]["url"] == album.cover.url
    assert shown["booklet"] is None


def test_a_file_of_another_user_is_an_error(api, bob):
    sent = api.send(BOOKLET, b"Dear all", "a.txt")

    answer = Api(bob).call("post", "/albums/", {"title": "First", "booklet": sent})

    assert answer.status_code == 400
    assert "not known here" in answer.json()["booklet"][0]


def test_what_is_missing_is_told_by_the_view_that_begins(api, db):
    answer = api.call("post", "/begin/", {})
    listed = api.call("post", "/begin/", [1])

    assert answer.status_code == listed.status_code == 400
    assert set(answer.json()) == set(listed.json()) == {"fieldId", "filename"}
    asked = {"fieldId": BOOKLET.async_field_id, "filename": "a.txt"}
    assert Client().post("/begin/", asked).status_code == 403


def test_a_plain_file_comes_with_the_request(api):
    file = SimpleUploadedFile("a.txt", b"Dear all")

    answer = api.call("post", "/albums/", {"title": "First", "booklet": file}, "form")
    assert answer.status_code == 201, answer.content
    run_jobs()

    assert Album.objects.get().booklet.read() == b"Dear all"


def test_a_plain_file_is_looked_at(api):
    file = SimpleUploadedFile("a.png", b"<script>")

    answer = api.call("post", "/albums/", {"title": "First", "cover": file}, "form")

    assert answer.status_code == 400
    assert answer.json() == {"cover": ["This file is not a picture."]}


def test_a_form_has_the_json_as_text(api):
    sent = json.dumps(api.send(BOOKLET, b"Dear all", "a.txt"))

    answer = api.call("post", "/albums/", {"title": "First", "booklet": sent}, "form")

    assert answer.status_code == 201, answer.content


@pytest.mark.parametrize("value", [None, ""])
def test_a_file_can_be_taken_away(api, value):
    album = Album.objects.create(title="First", booklet="booklets/a.txt")
    serializer = AlbumSerializer(album, data={"booklet": value}, partial=True)

    assert serializer.is_valid(), serializer.errors
    serializer.save()

    assert not Album.objects.get().booklet


def test_a_field_that_must_have_a_file_takes_no_null(as_ada):
    assert not SongSerializer(data={"sheet": None}).is_valid()
    assert not SongSerializer(data={}).is_valid()


def test_a_declared_field_finds_the_models(sender, as_ada):
    sent = [{"sheet": named(sender.send(SHEET))} for _ in range(2)]
    shown, kept = (SongSerializer(data=data) for data in sent)
    assert shown.is_valid(), shown.errors
    assert shown.data["sheet"]["url"] is None

    assert kept.is_valid(), kept.errors
    kept.save()
    run_jobs()

    assert Song.objects.get().sheet.read() == b"Dear all"


def test_a_file_that_is_not_changed_may_be_sent_back(api):
    album = Album.objects.create(title="First", booklet="booklets/a.txt")
    shown = api.call("get", f"/albums/{album.pk}/", {}, "").json()

    answer = api.call("patch", f"/albums/{album.pk}/", shown | {"title": "Second"})

    assert answer.status_code == 200, answer.content
    album.refresh_from_db()
    assert (album.title, album.booklet.name) == ("Second", "booklets/a.txt")


def test_outside_of_a_request_the_serializers_own_says_who_it_is(
    sender, ada, request_of
):
    sent = named(sender.send(SHEET))
    context = {"request": request_of(ada)}

    serializer = SongSerializer(data={"sheet": sent}, context=context)

    assert serializer.is_valid(), serializer.errors
