"""What is handed over that is no file of a request, or that lies about itself."""

import io
import tempfile
from pathlib import Path

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import SimpleUploadedFile

from dbqueue.exceptions import UploadError
from dbqueue.models import Upload, UploadChunk
from dbqueue.testing import run_jobs
from dbqueue.uploads import FilePolicy, save_file, save_image
from tests.gallery.models import Profile
from tests.imaging.pictures import data, quarters

pytestmark = pytest.mark.django_db
SCRIPT = b"GIF89a/*<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def storage(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)


@pytest.fixture
def profile():
    return Profile.objects.create()


def named(name, **attributes):
    file = io.BytesIO(b"Dear all")
    for key, value in {"name": name, **attributes}.items():
        setattr(file, key, value)
    return file


def closed():
    file = File(io.BytesIO(b"Dear all"), name="letter.txt")
    file.close()
    return file


@pytest.mark.parametrize(
    ("name", "saved_as"),
    [(7, "upload"), (Path("/a/b.txt"), "b.txt"), (None, "upload"), ("", "upload")],
)
def test_a_name_may_be_anything(profile, name, saved_as):
    assert save_file(named(name), profile, "letter").filename == saved_as


def test_a_file_without_a_name_is_taken(profile):
    with tempfile.TemporaryFile() as file:
        file.write(b"Dear all")
        assert save_file(file, profile, "letter").filename == "upload"


def test_a_size_that_is_not_a_number_is_not_trusted(profile):
    save_file(named("a.txt", size="many"), profile, "letter")

    assert Upload.objects.get().size == 8


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: io.StringIO("Dear all"), "binary mode"),
        (lambda: ContentFile("Dear all", "a.txt"), "binary mode"),
        (closed, "could not be read"),
        (lambda: Profile().letter, "is not a file"),
        (lambda: Profile(letter="gone.txt").letter, "is not a file"),
        (lambda: iter([b"Dear all"]), "is not a file"),
    ],
)
def test_what_gives_no_bytes_is_refused_in_words(profile, make, words):
    with pytest.raises(UploadError, match=words):
        save_file(make(), profile, "letter")

    assert not UploadChunk.objects.exists()


@pytest.mark.parametrize(
    "option",
    [
        {"variants": ["thumb"]},
        {"policy": {"max_size": 1}},
        {"policy": FilePolicy()},
        {"field_name": 3},
    ],
)
def test_an_option_of_the_wrong_kind_is_refused_in_words(profile, option):
    file = SimpleUploadedFile("a.png", data(quarters(), "PNG"))
    options = {"field_name": "photo", **option}

    with pytest.raises(UploadError, match=next(iter(option))):
        save_image(file, profile, **options)


def test_a_declared_type_is_kept_as_far_as_a_column_can(profile):
    file = named("a.txt", content_type="text/plain\0\ud800" + "x" * 300)
    save_file(file, profile, "letter")

    assert Upload.objects.get().content_type == "text/plain" + "x" * 245


@pytest.mark.parametrize(
    ("name", "content", "types", "ending"),
    [
        ("evil.html", SCRIPT, ["image/*"], ".gif"),
        ("evil.svg", SCRIPT, ["image/gif"], ".gif"),
        ("evil.phtml", b"PK\3\4<?php", ["application/zip"], ".zip"),
        ("evil", SCRIPT, ["image/gif"], ".gif"),
        ("a.JPEG", data(quarters()), ["image/*"], ".jpeg"),
        ("a.odg", b"PK\3\4", [".odg", "image/*"], ".odg"),
        ("a.html", b"<html>", None, ".html"),
    ],
)
def test_the_ending_is_the_contents_where_the_type_let_it_in(
    profile, name, content, types, ending
):
    policy = FilePolicy(types=types)
    handle = save_file(
        SimpleUploadedFile(name, content), profile, "letter", policy=policy
    )

    run_jobs()

    handle.refresh()
    assert handle.name.endswith(f"-1{ending}")
