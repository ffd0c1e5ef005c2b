"""Upload fields in a real browser, against a real server and a real worker.

DBQUEUE_TEST_SCREENSHOTS names a folder for pictures of every stage.
"""

import hashlib
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.browser.chromium import chromium
from tests.browser.marks import WITH_BROWSER
from tests.browser.test_photo import PHOTO, _answers, _free_port
from tests.support.processes import (
    MANAGE,
    ROOT,
    WorkerProcess,
    on_demand,
    wait_until,
)

SCREENSHOTS = os.environ.get("DBQUEUE_TEST_SCREENSHOTS")
LARGE = 12_000_000  # bytes; large enough to be sent in pieces
SLOW = 3_000_000  # bytes in a second
SET_UP = """
from django.contrib.auth.models import User
User.objects.create_superuser("ada", "ada@example.com", "lovelace")
"""

pytestmark = WITH_BROWSER


class Site:
    """The small site, seen through a browser."""

    def __init__(self, browser, address):
        self.browser = browser
        self.address = address

    def visit(self, path=""):
        self.browser.visit(f"{self.address}{path}")

    def field(self, name):
        """Return the selector of an upload field."""
        return f"upload-field:has(input[name='{name}'])"

    def choose(self, name, path):
        self.browser.fill_in(f"input[type=file][name='{name}']", path)

    def state(self, name):
        return self.browser.run(
            f'return document.querySelector("{self.field(name)}").dataset.state'
        )

    def wait_for_state(self, name, state):
        wait_until(lambda: self.state(name) == state, f"{name} is {state}: {self.says}")

    def text(self, name, part):
        return self.browser.text(f"{self.field(name)} [data-part='{part}']")

    def wait_for_text(self, name, part, words):
        def is_said():
            return words in self.text(name, part)

        wait_until(is_said, f"{name} says {words!r}: {self.says}")

    def percent(self, name):
        bar = f"{self.field(name)} progress"
        return self.browser.run(f'return document.querySelector("{bar}").value')

    def click(self, name, part):
        self.browser.click(f"{self.field(name)} [data-part='{part}']")

    def save(self, title=None):
        if title is not None:
            self.browser.run("document.querySelector('#id_title').value = ''")
            self.browser.fill_in("#id_title", title)
        self.browser.click("#send")

    def network(self, *, offline=False, speed=-1):
        """Have the browser's network be slow, in bytes a second, or away."""
        self.browser.command("Network.enable")
        self.browser.command(
            "Network.emulateNetworkConditions",
            **{"offline": offline, "latency": 0, "downloadThroughput": -1},
            uploadThroughput=speed,
        )

    def found(self):
        """Return what the site has, once a form has been saved."""
        wait_until(lambda: "/found/" in self.place(), f"it is saved: {self.says}")
        return json.loads(self.browser.text())

    def place(self):
        return self.browser.run("return location.pathname")

    def row(self, model="album"):
        """Return the last row of a model, once nothing is pending."""

        def settled():
            self.visit("found/")
            known = json.loads(self.browser.text())
            waits = any(upload["state"] == "STORED" for upload in known["uploads"])
            rows = [row for row in known["rows"] if row["model"] == model]
            return rows and not waits and rows[-1]

        return wait_until(settled, "all uploads are stored")

    def wait_until_gone(self, filename):
        def is_gone():
            self.visit("found/")
            uploads = json.loads(self.browser.text())["uploads"]
            waiting = [u for u in uploads if u["state"] == "RECEIVING"]
            return filename not in [u["filename"] for u in waiting]

        wait_until(is_gone, f"{filename} is given up")

    @property
    def says(self):
        return self.browser.run("return document.body.innerText.slice(0, 1000)")

    def check(self, stage):
        """Take a picture, and let axe and the browser tell what is wrong."""
        if SCREENSHOTS:
            self.browser.screenshot(Path(SCREENSHOTS) / f"field-{stage}.png")
        # Before axe, whose own styles the policy refuses.
        assert not [line for line in self.browser.log() if "Content Security" in line]
        # Django's admin leaves the inputs of its tables without labels.
        faults = [fault for fault in self.browser.axe() if "photo_set-" not in fault]
        assert faults == []
        self.browser.log()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("albums")


@pytest.fixture(scope="module")
def started(folder):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.browser.upload_settings",
        "DATABASE_URL": f"sqlite:///{folder}/site.db",
        "SITE_FILES": str(folder / "files"),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    port = _free_port()
    migrate = [sys.executable, MANAGE, "migrate", "--run-syncdb", "-v0"]
    user = [sys.executable, "-c", f"import django; django.setup()\n{SET_UP}"]
    serve = [sys.executable, MANAGE, "runserver", "--noreload", f"127.0.0.1:{port}"]
    work = [sys.executable, MANAGE, "runworker", "--no-reload", "--queues", "uploads"]
    subprocess.run(migrate, env=environment, check=True)
    subprocess.run(user, env=environment, check=True)
    with ExitStack() as stack:
        for name, command in (("server", serve), ("worker", work)):
            process = WorkerProcess(command, environment, folder / f"{name}.log")
            stack.callback(process.kill_all)
        address = f"http://127.0.0.1:{port}/"
        wait_until(lambda: _answers(address), "the site answers")
        yield Site(stack.enter_context(chromium(folder, environment)), address)


@pytest.fixture
def site(started):
    started.browser.run("sessionStorage.clear()") if "127" in started.place() else None
    started.visit()
    yield started
    started.network()


@pytest.fixture
def without_javascript(site):
    name = "Emulation.setScriptExecutionDisabled"
    site.browser.command(name, value=True)
    yield
    site.browser.command(name, value=False)


@pytest.fixture(scope="module")
def film(folder):
    """Return the path of a large file, and its digest."""
    path = folder / "film.mp4"
    content = os.urandom(1_000_000) * (LARGE // 1_000_000)
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def digest_of(folder, name):
    return hashlib.sha256((folder / "files" / name).read_bytes()).hexdigest()


def test_a_photo_goes_up_while_the_form_is_filled_in(site):
    site.check("empty")
    site.choose("cover", PHOTO)
    site.wait_for_state("cover", "done")

    assert site.text("cover", "name") == PHOTO.name
    assert site.text("cover", "text") == f"{PHOTO.name} is uploaded."
    canvas = f"{site.field('cover')} canvas"
    wait_until(lambda: _is_shown(site, canvas), "there is a preview")
    site.check("done")
    site.save("Harbour")
    uploads = site.found()["uploads"]

    assert PHOTO.name in [upload["filename"] for upload in uploads]
    assert site.row()["cover"].startswith("covers/")


def test_a_form_with_a_mistake_keeps_the_file(site, folder):
    site.choose("cover", PHOTO)
    site.wait_for_state("cover", "done")

    site.save()
    wait_until(lambda: site.browser.find(".errorlist"), "the form tells the mistake")

    assert site.state("cover") == "done"
    assert site.text("cover", "name") == PHOTO.name
    picture = f"{site.field('cover')} img"
    wait_until(lambda: _is_shown(site, picture), "there is a preview")
    site.check("mistake")
    site.save("Second try")
    site.found()
    row = site.row()
    assert row["title"] == "Second try"
    assert (folder / "files" / row["cover"]).exists()


@on_demand
def test_a_reload_keeps_the_file(site):
    site.choose("cover", PHOTO)
    site.wait_for_state("cover", "done")

    site.browser.reload()
    wait_until(lambda: site.browser.find("upload-field[data-state]"), "it is loaded")

    assert site.state("cover") == "done"
    assert site.text("cover", "name") == PHOTO.name
    site.visit()
    assert site.state("cover") == "empty"


@on_demand
def test_cancel_ends_the_upload_and_gives_the_input_back(site, film, folder):
    (folder / "unwanted.mp4").hardlink_to(film[0])
    site.network(speed=SLOW // 4)
    site.choose("film", folder / "unwanted.mp4")
    wait_until(lambda: site.percent("film") > 0, "it has begun")
    site.check("uploading")

    site.click("film", "cancel")

    assert site.state("film") == "empty"
    assert site.text("film", "text") == "The upload was cancelled."
    focused = site.browser.run("return document.activeElement.name")
    assert focused == "film"
    site.network()
    site.save("Without a film")
    site.found()
    site.wait_until_gone("unwanted.mp4")
    assert site.row()["film"] == ""


@on_demand
def test_remove_takes_a_file_away_again(site, folder):
    (folder / "unwanted.jpg").write_bytes(PHOTO.read_bytes())
    site.choose("cover", folder / "unwanted.jpg")
    site.wait_for_state("cover", "done")

    site.click("cover", "remove")

    assert site.state("cover") == "empty"
    assert site.text("cover", "text") == "The file was removed."
    site.wait_until_gone("unwanted.jpg")


def test_a_large_file_goes_on_where_the_network_went_away(site, film, folder):
    path, digest = film
    site.network(speed=SLOW)
    site.choose("film", path)
    wait_until(lambda: site.percent("film") > 40, "a piece is there")

    site.network(offline=True)
    site.wait_for_text("film", "text", "The connection is lost.")
    site.check("offline")
    site.network()
    site.wait_for_state("film", "done")

    site.save("After the tunnel")
    site.found()
    assert digest_of(folder, site.row()["film"]) == digest


@on_demand
def test_a_large_file_goes_on_after_a_reload_when_it_is_chosen_again(
    site, film, folder
):
    path, digest = film
    site.network(speed=SLOW)
    site.choose("film", path)
    wait_until(lambda: site.percent("film") > 40, "a piece is there")

    site.browser.reload()
    site.wait_for_text("film", "text", "The upload of film.mp4 was interrupted.")
    site.check("interrupted")
    site.browser.run("window.seen = []")
    site.browser.run(
        "document.addEventListener('upload:progress',"
        " (event) => seen.push(event.detail.percent))"
    )
    site.network()
    site.choose("film", path)
    site.wait_for_state("film", "done")

    assert min(percent for percent in site.browser.run("return seen") if percent) >= 30
    site.save("After a reload")
    site.found()
    assert digest_of(folder, site.row()["film"]) == digest


@on_demand
def test_a_form_that_is_sent_too_early_waits_for_the_file(site, film, folder):
    site.network(speed=SLOW)
    site.choose("film", film[0])

    site.save("In a hurry")
    assert "as soon as film.mp4 is uploaded" in site.text("film", "text")
    site.check("held")
    site.network()

    assert site.found()["rows"][-1]["title"] == "In a hurry"
    assert digest_of(folder, site.row()["film"]) == film[1]


@on_demand
def test_two_files_go_up_at_once(site, film):
    site.network(speed=SLOW)
    site.choose("film", film[0])
    site.choose("cover", PHOTO)

    site.wait_for_state("cover", "done")
    assert site.state("film") == "uploading"
    site.check("two")
    site.network()
    site.wait_for_state("film", "done")

    site.save("Both")
    site.found()
    row = site.row()
    assert row["cover"]
    assert row["film"]


@on_demand
def test_files_that_are_dropped_together_fill_the_rows_of_a_formset(site):
    site.visit("photos/")
    site.browser.run(DROP)

    for row in range(2):
        site.wait_for_text(f"photo_set-{row}-picture", "name", f"{row}.png")
        site.wait_for_state(f"photo_set-{row}-picture", "done")
    assert site.state("photo_set-2-picture") == "empty"
    site.check("dropped")
    site.save()
    site.found()

    names = {site.row("photo")["picture"]}
    assert all(name.startswith("photos/") for name in names)


@on_demand
def test_what_is_refused_is_told_beside_the_field(site, tmp_path):
    page = tmp_path / "page.png"
    page.write_text("<!doctype html><title>Not a picture</title>")

    site.choose("cover", page)
    site.wait_for_text("cover", "error", "picture")

    assert site.state("cover") == "empty"
    site.check("refused")


def test_without_javascript_it_is_a_file_input(site, without_javascript, folder):
    site.visit()
    site.choose("cover", PHOTO)
    site.save()
    wait_until(lambda: site.browser.find(".errorlist"), "the form tells the mistake")

    assert site.text("cover", "name") == PHOTO.name
    if SCREENSHOTS:
        site.browser.screenshot(Path(SCREENSHOTS) / "field-without-javascript.png")
    site.browser.fill_in("#id_title", "Plain")
    site.browser.click("#send")
    wait_until(lambda: '"Plain"' in site.browser.text(), "it is saved")
    row = site.row()

    assert row["title"] == "Plain"
    assert (folder / "files" / row["cover"]).exists()


@on_demand
def test_a_row_that_is_added_in_the_admin_uploads_too(site):
    browser = site.browser
    site.visit("admin/login/?next=/admin/albums/album/add/")
    if browser.find("#id_username"):
        browser.fill_in("#id_username", "ada")
        browser.fill_in("#id_password", "lovelace")
        browser.click("[type=submit]")
    wait_until(lambda: browser.find("#id_title"), "the form is there")

    browser.click(".add-row a")
    site.choose("photo_set-1-picture", PHOTO)
    site.choose("cover", PHOTO)
    site.wait_for_state("photo_set-1-picture", "done")
    site.wait_for_state("cover", "done")
    assert site.state("photo_set-0-picture") == "empty"
    site.check("admin")
    browser.fill_in("#id_title", "By the admin")
    browser.click("[name=_save]")
    wait_until(lambda: browser.find(".success"), "it is saved")

    assert site.row("photo")["picture"].startswith("photos/")
    assert site.row()["cover"].startswith("covers/")


def test_the_field_fits_a_phone_and_shows_what_is_stored(site):
    site.choose("cover", PHOTO)
    site.wait_for_state("cover", "done")
    site.save("Small")
    site.found()
    pk = site.row()["pk"]
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}

    site.browser.command("Emulation.setDeviceMetricsOverride", **metrics)
    try:
        site.visit(f"albums/{pk}/")
        site.choose("cover", PHOTO)
        site.wait_for_state("cover", "done")
        site.check("phone")
        width = site.browser.run("return document.documentElement.scrollWidth")
    finally:
        site.browser.command("Emulation.clearDeviceMetricsOverride")

    assert width <= 360
    assert "Currently" in site.text("cover", "current")


DROP = """
const canvas = document.createElement('canvas');
canvas.width = canvas.height = 8;
const png = Uint8Array.from(
  atob(canvas.toDataURL('image/png').split(',')[1]), (letter) => letter.charCodeAt(0)
);
const dataTransfer = new DataTransfer();
for (const name of ['0.png', '1.png']) {
  dataTransfer.items.add(new File([png], name, { type: 'image/png' }));
}
document.querySelector('upload-field').dispatchEvent(
  new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer })
);
"""


def _is_shown(site, selector):
    return site.browser.run(
        f'const part = document.querySelector("{selector}");'
        "return part.checkVisibility() && (part.naturalWidth ?? part.width) > 0"
    )
