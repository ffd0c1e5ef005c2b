"""The example's photo in a real browser: a real server, and a real worker behind it.

DBQUEUE_TEST_SCREENSHOTS names a folder for pictures of every stage.
"""

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.browser.chromium import chromium
from tests.browser.marks import WITH_BROWSER
from tests.support.processes import ROOT, WorkerProcess, on_demand, wait_until

EXAMPLE = ROOT / "example"
PHOTO = EXAMPLE / "photos" / "hopper.jpg"
MANAGE = [sys.executable, EXAMPLE / "manage.py"]
SCREENSHOTS = os.environ.get("DBQUEUE_TEST_SCREENSHOTS")

pytestmark = WITH_BROWSER


class Site:
    """The example in a folder of its own, seen through a browser."""

    def __init__(self, browser, address, environment, folder):
        self.browser = browser
        self.address = address
        self._environment = environment
        self._folder = folder

    def send(self, photo):
        """Fill in the form, choose the photo, and send."""
        browser = self.browser
        browser.visit(self.address)
        browser.fill_in("#id_name", "Grace Hopper")
        browser.fill_in("#id_email", "grace@example.com")
        browser.fill_in("#id_about_me", "I find it easier to ask forgiveness.")
        browser.fill_in("#id_photo", photo)
        self.show("form")
        browser.click("form button")

    def start_worker(self, queues="uploads"):
        command = [*MANAGE, "runworker", "--no-reload", "--queues", queues]
        log = self._folder / "worker.log"
        return WorkerProcess(command, self._environment, log)

    def wait_for(self, selector):
        """Wait until the page has such an element."""
        self.browser.wait_for(selector)

    def stored(self, folder):
        """Return the paths of what is stored in a folder."""
        return sorted((self._folder / "var" / "media" / folder).iterdir())

    def show(self, stage):
        if SCREENSHOTS:
            self.browser.screenshot(Path(SCREENSHOTS) / f"{stage}.png")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    environment = _environment(folder)
    subprocess.run([*MANAGE, "migrate", "-v0"], env=environment, check=True)
    address = f"127.0.0.1:{_free_port()}"
    command = [*MANAGE, "runserver", "--noreload", address]
    server = WorkerProcess(command, environment, folder / "server.log")
    try:
        wait_until(lambda: _answers(f"http://{address}/"), "the site answers")
        with chromium(folder, environment) as browser:
            yield Site(browser, f"http://{address}/", environment, folder)
    finally:
        server.kill_all()


@pytest.fixture
def without_javascript(site):
    """Return a function that switches JavaScript off, until the end of the test."""
    name = "Emulation.setScriptExecutionDisabled"
    yield lambda browser: browser.command(name, value=True)
    site.browser.command(name, value=False)


@pytest.fixture
def worker(site):
    """Return a function that starts a worker."""
    started = []

    def start(*queues):
        started.append(site.start_worker(*queues))

    yield start
    for process in started:
        process.kill_all()


def test_the_placeholder_turns_into_the_photo_by_itself(site, worker):
    site.send(PHOTO)
    site.wait_for("#photo [data-upload]")
    assert site.browser.find("#photo svg")
    site.show("placeholder")
    site.browser.run("window.isTheSamePage = true")

    worker()
    site.wait_for("#photo img")

    assert site.browser.run("return window.isTheSamePage")
    assert not site.browser.find("#photo job-progress")
    wait_until(lambda: _width_of_loaded_photo(site.browser) == 512, "it has loaded")
    site.show("photo")


def test_the_bar_moves_while_photo_and_pdf_are_made_and_links_the_pdf(site, worker):
    browser = site.browser
    site.send(PHOTO)
    site.wait_for('job-progress[data-status="waiting"]')
    browser.run("window.seen = []")
    browser.run(
        "document.addEventListener('job:update', (event) => seen.push("
        "[event.detail.progress?.percent, event.detail.progress?.message]))"
    )

    worker("uploads,mail")

    wait_until(
        lambda: browser.find(
            "main > [data-status=succeeded], main > [data-status=failed]"
        ),
        "the summary has ended",
    )
    messages = [message for _, message in browser.run("return seen")]
    assert {*messages} & {"Preparing your photo", "Drawing your page"}
    if find_spec("weasyprint"):
        assert browser.text('[data-part="files"]').strip() == "about-me.pdf"
        beginning = browser.run(
            "return fetch(document.querySelector('[data-part=files] a').href)"
            ".then((answer) => answer.text()).then((text) => text.slice(0, 5))"
        )
        assert beginning == "%PDF-"
    else:  # as the worker's log says
        assert browser.text('[data-part="text"]') == "Sorry, this did not work."
    site.wait_for("#photo img")
    assert browser.axe() == []
    assert not [line for line in browser.log() if "Content Security" in line]
    site.show("summary")


def test_without_javascript_a_reload_shows_the_photo(site, worker, without_javascript):
    without_javascript(site.browser)
    site.send(PHOTO)
    site.wait_for("#photo [data-upload]")
    assert "Look again" in site.browser.text("#photo")

    worker()

    def shown_after_a_reload():
        site.browser.reload()
        return site.browser.find("#photo img")

    wait_until(shown_after_a_reload, "a reload shows the photo")


def test_a_photo_that_cannot_be_read_is_turned_away_in_words(site, worker, tmp_path):
    half = tmp_path / "half.jpg"
    half.write_bytes(PHOTO.read_bytes()[:30_000])
    site.send(half)
    site.wait_for("#photo [data-upload]")

    worker()
    site.wait_for("#photo [role=alert]")

    assert "damaged or incomplete" in site.browser.text("#photo")
    site.show("rejected")


def test_what_is_not_a_picture_is_refused_by_the_form(site, tmp_path):
    vector = tmp_path / "logo.jpg"
    vector.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')

    site.send(vector)
    site.wait_for(".photo .errorlist")

    assert site.browser.text(".photo .errorlist") == "This file is not a picture."
    assert site.browser.text("h1") == "About me"
    site.show("refused")


@on_demand
def test_a_film_goes_on_where_the_network_went_away_while_the_form_is_filled_in(
    site, worker, tmp_path
):
    browser, size = site.browser, 12_000_000
    path = tmp_path / "film.mp4"
    path.write_bytes(FILM_HEAD + os.urandom(size - len(FILM_HEAD)))
    browser.visit(f"{site.address}film/")
    _network(browser, speed=2_000_000)
    browser.fill_in("#id_film", path)
    browser.fill_in("#id_poster", PHOTO)
    wait_until(lambda: _percent(browser) > 30, "a part is there")
    site.show("film-uploading")

    _network(browser, offline=True)
    browser.fill_in("#id_title", "Harbour")
    lost = "The connection is lost"
    wait_until(lambda: lost in browser.text(), "the page tells it")
    site.show("film-offline")
    for look in LOOKS:
        with _looking(browser, **look):
            site.show(f"film-{look['scheme']}-{look['width']}")
    _network(browser)
    done = "film.mp4 is uploaded."
    wait_until(lambda: done in browser.text(), "the film is there")
    assert [fault for fault in browser.axe() if "upload" in fault] == []
    browser.click("form > button")
    worker()

    def shown():
        browser.visit(f"{site.address}film/sent/")
        return "Download it" in browser.text() and browser.find("figure img")

    wait_until(shown, "the film is kept")
    site.show("film-kept")
    (kept,) = site.stored("films")
    assert kept.read_bytes() == path.read_bytes()


FILM_HEAD = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2"
LOOKS = [
    {"scheme": "dark", "width": 780},
    {"scheme": "light", "width": 360},
    {"scheme": "dark", "width": 360},
]


@contextmanager
def _looking(browser, scheme, width):
    """Have the browser be a telephone, or show dark pages, for a while."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.command("Emulation.setEmulatedMedia", features=[feature])
    size = {"width": width, "height": 800, "deviceScaleFactor": 1}
    browser.command("Emulation.setDeviceMetricsOverride", **size, mobile=width < 500)
    yield
    assert browser.run("return document.documentElement.scrollWidth") <= width
    browser.command("Emulation.setEmulatedMedia", features=[])
    browser.command("Emulation.clearDeviceMetricsOverride")


def _network(browser, *, offline=False, speed=-1):
    browser.command("Network.enable")
    browser.command(
        "Network.emulateNetworkConditions",
        **{"offline": offline, "latency": 0, "downloadThroughput": -1},
        uploadThroughput=speed,
    )


def _percent(browser):
    return browser.run(
        "return document.querySelector('upload-field:has([name=film]) progress').value"
    )


def _width_of_loaded_photo(browser):
    photo = "document.querySelector('#photo img')"
    return browser.run(f"return {photo}.complete && {photo}.naturalWidth")


def _environment(folder):
    inherited = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    return {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "settings",
        "EXAMPLE_VAR": str(folder / "var"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "PYTHONUNBUFFERED": "1",
    }


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(address):
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=5) as answer:
            return answer.status == 200
    except URLError:
        return False
