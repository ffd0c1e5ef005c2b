"""The storages of S3 and Azure by their names there, with servers that check."""

import secrets
from datetime import datetime
from importlib import import_module
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from dbqueue.compat.alliance_platform.storage.async_uploads.models import AsyncTempFile
from dbqueue.models import Upload
from dbqueue.testing import run_jobs
from tests.compat.alliance.conftest import DOCUMENT, OWN, PDF, Page, data, name_of
from tests.compat.alliance.test_import import KEY, add, move, outcomes, rows
from tests.compat.alliance_app.forms import ReportForm
from tests.compat.alliance_app.models import Letter, Report
from tests.fields.buckets import sweep
from tests.support.buckets import KEYS, ask, azurite, localstack, post
from tests.support.processes import on_demand

__all__ = ["rows"]

pytestmark = [
    on_demand,
    pytest.mark.django_db,
    pytest.mark.urls("tests.compat.alliance_app.urls"),
]

MODULE = "dbqueue.compat.alliance_platform.storage.async_uploads.storage"
MIB = 2**20


class Bucket:
    """A bucket of S3, as a project has it and as its browsers see it."""

    def __init__(self, address):
        name = f"letters-{secrets.token_hex(4)}"
        self.storage = import_module(f"{MODULE}.s3").S3AsyncUploadStorage(
            **KEYS, bucket_name=name, endpoint_url=address, addressing_style="path"
        )
        self.storage._client.create_bucket(Bucket=name)

    def names(self):
        found = self.storage._client.list_objects_v2(Bucket=self.storage.bucket_name)
        return {one["Key"] for one in found.get("Contents", ())}

    def send(self, told, content):
        return post(told, content)


class Container:
    """A container of Azure."""

    def __init__(self, address):
        name = f"letters-{secrets.token_hex(4)}"
        made = import_module(f"{MODULE}.azure").AzureAsyncUploadStorage
        self.storage = made(connection_string=address, azure_container=name)
        self.storage.client.create_container()

    def names(self):
        return set(self.storage.list_all())

    def send(self, told, content):
        headers = {
            name.replace("-", "_"): text for name, text in told["headers"].items()
        }
        return ask(told["method"], told["url"], content, **headers)[0]


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory):
    pytest.importorskip("storages", reason='pip install "dbqueue-django[s3]"')
    pytest.importorskip("boto3", reason='pip install "dbqueue-django[s3]"')
    with localstack(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture(scope="module")
def azure_server(tmp_path_factory):
    pytest.importorskip("storages", reason='pip install "dbqueue-django[azure]"')
    pytest.importorskip("azure", reason='pip install "dbqueue-django[azure]"')
    with azurite(tmp_path_factory.mktemp("azure")) as connection_string:
        yield connection_string


@pytest.fixture(params=[("s3_server", Bucket), ("azure_server", Container)])
def bucket(request, monkeypatch):
    """Have the documents of reports, and letters, go there."""
    server, kind = request.param
    made = kind(request.getfixturevalue(server))
    for field in (DOCUMENT, OWN):
        monkeypatch.setattr(field, "storage", made.storage)
    return made


def sent(page, bucket, field=DOCUMENT, content=PDF):
    """Send a file; return what the form then has for it."""
    begun = page.ask(field).json()
    assert bucket.send(begun["uploadUrl"], content) == 201
    return {"key": begun["key"], "name": "abc.pdf"}


def test_a_file_is_in_its_place_when_its_form_was_saved(page, bucket, as_ada):
    given = sent(page, bucket)
    assert given["key"].startswith("async-temp-files/")

    report = Report.objects.create(document=data(given))
    sweep()

    assert name_of(report.document) == "abc"
    assert report.document.read() == PDF
    assert bucket.names() == {report.document.name}
    answer = page.download(DOCUMENT, report)
    assert answer.status_code == 302
    assert ask("GET", answer["Location"])[0] == 200


def test_a_file_without_scripts_is_in_its_place_when_its_form_was_saved(bucket, as_ada):
    form = ReportForm({}, {"document": SimpleUploadedFile("abc.pdf", PDF)})

    assert form.is_valid(), form.errors
    report = form.save()
    sweep()

    assert report.document.read() == PDF
    assert bucket.names() == {report.document.name}


def test_a_key_that_another_user_has_is_refused(page, bob, bucket, as_ada):
    given = sent(Page(bob), bucket)

    with pytest.raises(ValidationError):
        Report(document=data(given))


def test_a_file_larger_than_its_field_takes_is_refused(page, bucket, as_ada):
    begun = page.ask(OWN).json()
    status = bucket.send(begun["uploadUrl"], PDF + b" " * MIB)

    with pytest.raises(ValidationError):
        Letter(own=data({"key": begun["key"], "name": "abc.pdf"}))

    assert (status, bucket.names()) in [(400, set()), (201, set())]


def test_addresses_hold_as_long_as_the_settings_say(page, bucket, as_ada, settings):
    settings.ALLIANCE_PLATFORM = {"STORAGE": {"DOWNLOAD_URL_EXPIRY": 60}}
    report = Report.objects.create(document=data(sent(page, bucket)))

    query = parse_qs(urlsplit(page.download(DOCUMENT, report)["Location"]).query)

    if "se" in query:  # of Azure
        until = datetime.fromisoformat(query["se"][0])
        assert 0 < (until - timezone.now()).total_seconds() <= 60
    else:
        assert query["X-Amz-Expires"] == ["60"]


def test_a_program_may_put_the_file_there_itself(bucket, as_ada):
    file = AsyncTempFile.create_for_field(DOCUMENT, "abc.pdf")
    bucket.storage.save(file.key, ContentFile(PDF))

    report = Report.objects.create(document=data({"key": file.key, "name": "abc.pdf"}))

    assert report.document.read() == PDF


def test_an_object_is_moved_but_not_over_another(bucket):
    for name in ("a.txt", "c.txt"):
        bucket.storage.save(name, ContentFile(name.encode()))

    bucket.storage.move_file("a.txt", "b/b.txt")
    with pytest.raises(FileExistsError):
        bucket.storage.move_file("c.txt", "b/b.txt")

    assert bucket.names() == {"b/b.txt", "c.txt"}
    assert bucket.storage.open("b/b.txt").read() == b"a.txt"


def test_what_had_not_been_moved_there_is_taken_over(rows, bucket):
    bucket.storage.save(KEY, ContentFile(PDF))
    report = Report.objects.create(document=KEY)
    add(rows, error="Cannot move")

    assert outcomes(move()) == ["moved"]
    run_jobs()
    sweep()

    report.refresh_from_db()
    assert report.document.read() == PDF
    assert bucket.names() == {report.document.name}
    assert Upload.objects.get().state == "DONE"
