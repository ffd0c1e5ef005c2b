"""Upload fields in a real browser that sends films to S3, and to Azure, itself."""

import hashlib
import json
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from importlib import import_module

import pytest

from tests.browser.chromium import chromium
from tests.browser.marks import WITH_BROWSER
from tests.browser.test_photo import _answers, _free_port
from tests.browser.test_upload_fields import Site
from tests.support.buckets import KEYS, azurite, localstack
from tests.support.processes import MANAGE, ROOT, WorkerProcess, on_demand, wait_until

pytestmark = [*WITH_BROWSER, on_demand]

BLOCK = os.urandom(1_000_000)
SMALL, LARGE = 3, 110  # blocks; so large a file goes in parts
AZURE = "dbqueue.fields.storages.azure.AzureUploadStorage"
S3 = "dbqueue.fields.storages.s3.S3UploadStorage"


def needs(*packages):
    for package in packages:
        pytest.importorskip(package, reason=f"{package} is not installed")


@contextmanager
def s3(folder, origin):
    """Give the options of a bucket that lets in the pages of an origin alone."""
    needs("botocore", "storages")
    rule = {"AllowedMethods": ["POST", "PUT"], "AllowedHeaders": ["*"]}
    rules = {"CORSRules": [{**rule, "AllowedOrigins": [origin]}]}
    with localstack(folder) as address:
        options = {**KEYS, "endpoint_url": address, "addressing_style": "path"}
        options["bucket_name"] = "films"
        client = import_module("dbqueue.fields.storages.s3").S3UploadStorage(**options)
        client._client.create_bucket(Bucket="films")
        client._client.put_bucket_cors(Bucket="films", CORSConfiguration=rules)
        yield S3, options, address


@contextmanager
def azure(folder, origin):
    """Give the options of a container that lets in the pages of an origin alone."""
    needs("azure", "storages")
    kinds = import_module("azure.storage.blob")
    rule = {"allowed_headers": ["content-type", "x-ms-*"], "max_age_in_seconds": 60}
    rules = [kinds.CorsRule([origin], ["PUT"], **rule)]
    with azurite(folder) as connection_string:
        options = {"connection_string": connection_string, "azure_container": "films"}
        made = import_module("dbqueue.fields.storages.azure").AzureUploadStorage
        client = made(**options).service_client
        client.create_container("films")
        client.set_service_properties(cors=rules)
        yield AZURE, options, client.url.rsplit("/", 2)[0]


@pytest.fixture(scope="module", params=[s3, azure])
def site(request, tmp_path_factory):
    """Return the site of the albums, whose films go to a bucket."""
    folder = tmp_path_factory.mktemp("buckets")
    port = _free_port()
    origin = f"http://127.0.0.1:{port}"
    with request.param(folder, origin) as (backend, options, address):
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.browser.upload_settings",
            "DATABASE_URL": f"sqlite:///{folder}/site.db",
            "SITE_FILES": str(folder / "files"),
            "SITE_FILMS": json.dumps([backend, options]),
            "SITE_CONNECTS": address,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        migrate = [sys.executable, MANAGE, "migrate", "--run-syncdb", "-v0"]
        serve = [sys.executable, MANAGE, "runserver", "--noreload", str(port)]
        work = [sys.executable, MANAGE, "runworker", "--no-reload"]
        subprocess.run(migrate, env=environment, check=True)
        with ExitStack() as stack:
            for name, command in (("server", serve), ("worker", work)):
                process = WorkerProcess(command, environment, folder / f"{name}.log")
                stack.callback(process.kill_all)
            wait_until(lambda: _answers(f"{origin}/"), "the site answers")
            browser = stack.enter_context(chromium(folder, environment))
            found = Site(browser, f"{origin}/")
            module, _, name = backend.rpartition(".")
            found.films = getattr(import_module(module), name)(**options)
            yield found


@pytest.fixture(params=[SMALL, LARGE])
def film(request, tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(BLOCK * request.param)
    return path


def test_a_film_goes_past_the_site_to_the_bucket(site, film):
    site.visit()
    site.choose("film", film)
    site.wait_for_state("film", "done")
    site.check("bucket")

    site.save("Straight")
    site.found()

    with site.films.open(site.row()["film"]) as stored, film.open("rb") as sent:
        found = hashlib.file_digest(stored, "sha256").hexdigest()
        assert found == hashlib.file_digest(sent, "sha256").hexdigest()


def test_a_film_goes_on_when_the_network_is_back(site, film):
    site.visit()
    site.network(speed=film.stat().st_size // 3)
    site.choose("film", film)
    wait_until(lambda: site.percent("film") > 30, "a part is there")

    site.network(offline=True)
    site.wait_for_text("film", "text", "The connection is lost.")
    site.network()
    site.wait_for_state("film", "done")

    site.save("After the tunnel")
    site.found()
    assert site.films.size(site.row()["film"]) == film.stat().st_size


def test_what_the_bucket_refuses_is_left_to_the_form(site, film):
    """Such as where the bucket's rules do not know the page."""
    site.visit()
    site.browser.run("""
        const open = XMLHttpRequest.prototype.open;
        XMLHttpRequest.prototype.open = function (method, url) {
          const own = new URL(url, location).origin === location.origin;
          return open.call(this, method, own ? url : url.replace("film", "other"));
        };
    """)
    site.choose("film", film)
    site.wait_for_text("film", "error", "It will be sent with the form.")

    site.save("By the form")
    site.found()

    assert site.films.size(site.row()["film"]) == film.stat().st_size


def test_a_film_goes_on_after_a_reload_with_the_parts_that_lack(site, tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(BLOCK * LARGE)
    site.visit()
    if site.films.provider != "s3":
        pytest.skip("it goes in one piece there")
    site.network(speed=film.stat().st_size // 5)
    site.choose("film", film)
    wait_until(lambda: site.percent("film") > 50, "parts are there")

    site.browser.reload()
    site.wait_for_text("film", "text", "The upload of film.mp4 was interrupted.")
    site.browser.run("window.seen = []")
    site.browser.run(
        "document.addEventListener('upload:progress',"
        " (event) => seen.push(event.detail.percent))"
    )
    site.network()
    site.choose("film", film)
    site.wait_for_state("film", "done")

    assert min(percent for percent in site.browser.run("return seen") if percent) >= 30
    site.save("After a reload")
    site.found()
    assert site.films.size(site.row()["film"]) == film.stat().st_size
