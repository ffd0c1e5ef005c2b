"""The bar of a job in a real browser: real servers, and a real worker behind them.

DBQUEUE_TEST_SCREENSHOTS names a folder for pictures of every stage.
"""

import os
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.browser.chromium import chromium
from tests.browser.marks import WITH_BROWSER
from tests.browser.test_photo import _answers, _free_port
from tests.support.processes import MANAGE, ROOT, WorkerProcess, wait_until

SCREENSHOTS = os.environ.get("DBQUEUE_TEST_SCREENSHOTS")
ASGI = "tests.browser.progress_asgi:application"
SERVERS = {
    "wsgi": [sys.executable, MANAGE, "runserver", "--noreload"],
    "asgi": [sys.executable, "-m", "uvicorn", "--no-access-log", ASGI],
}

pytestmark = WITH_BROWSER


class Site:
    """The small site, in a folder of its own, behind two servers."""

    def __init__(self, browser, folder, environment):
        self.browser = browser
        self.folder = folder
        self.environment = environment
        self.ports = {kind: _free_port() for kind in SERVERS}
        self.servers = {}

    def serve(self, kind):
        port = str(self.ports[kind])
        where = [f"127.0.0.1:{port}"] if kind == "wsgi" else ["--port", port]
        log = self.folder / f"{kind}.log"
        server = WorkerProcess([*SERVERS[kind], *where], self.environment, log)
        self.servers[kind] = server
        wait_until(lambda: _answers(self.address(kind)), f"{kind} answers")

    def address(self, kind, path=""):
        return f"http://127.0.0.1:{self.ports[kind]}/{path}"

    def start(self, kind, name):
        """Start a job, show its page, and return the file that it follows."""
        script = self.folder / name
        self.browser.visit(self.address(kind, f"start/?script={script}"))
        self.browser.run("window.seen = []")
        self.browser.run(
            "document.addEventListener('job:update',"
            " (event) => seen.push(event.detail.progress?.percent ?? null))"
        )
        return script

    def write(self, script, line):
        with script.open("a") as file:
            file.write(f"{line}\n")

    def wait_for(self, selector):
        self.browser.wait_for(selector)

    def wait_for_text(self, part, words):
        def is_said():
            with suppress(AssertionError):  # a page that just loads itself again
                return words in self.browser.text(f'[data-part="{part}"]')

        wait_until(is_said, f"{part} says {words}", seconds=90)

    def check(self, stage):
        """Take a picture, and let axe and the browser tell what is wrong."""
        if SCREENSHOTS:
            self.browser.screenshot(Path(SCREENSHOTS) / f"{stage}.png")
        assert self.browser.axe() == []
        assert not [line for line in self.browser.log() if "Content Security" in line]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("uvicorn")
    folder = tmp_path_factory.mktemp("progress")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.browser.progress_settings",
        "DATABASE_URL": f"sqlite:///{folder}/site.db",
        "SITE_FILES": str(folder / "files"),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    migrate = [sys.executable, MANAGE, "migrate", "-v0"]
    subprocess.run(migrate, env=environment, check=True)
    work = [sys.executable, MANAGE, "runworker", "--no-reload", "--queues", "pages"]
    with ExitStack() as stack:
        worker = WorkerProcess(work, environment, folder / "worker.log")
        stack.callback(worker.kill_all)
        with chromium(folder, environment) as browser:
            made = Site(browser, folder, environment)
            stack.callback(lambda: [s.kill_all() for s in made.servers.values()])
            for kind in SERVERS:
                made.serve(kind)
            yield made


@pytest.mark.parametrize("kind", SERVERS)
def test_the_bar_goes_from_0_to_100_and_the_file_is_there(site, kind):
    browser = site.browser
    script = site.start(kind, f"report-{kind}")
    assert bool(browser.find("job-progress[events]")) == (kind == "asgi")

    for percent, message in ((0, "Beginning"), (30, "Reading"), (70, "Writing")):
        site.write(script, f"say {percent} {message}")
        site.wait_for_text("message", message)
        assert browser.run("return document.querySelector('progress').value") == percent
        site.check(f"progress-{kind}-{percent}")
    site.write(script, "attach report.txt")
    site.write(script, "end")
    site.wait_for('job-progress[data-status="succeeded"] a')

    assert browser.text('[data-part="text"]') == "Done."
    assert browser.text('[data-part="files"]').strip() == "report.txt"
    assert browser.run("return document.querySelector('progress').value") == 100
    seen = [percent for percent in browser.run("return seen") if percent is not None]
    assert seen == sorted(seen)
    assert {30, 70, 100} <= set(seen)
    got = browser.run(
        "return fetch(document.querySelector('[data-part=files] a').href)"
        ".then((answer) => answer.text())"
    )
    assert got == "This is report.txt."
    site.check(f"progress-{kind}-done")


def test_a_button_cancels_the_job(site):
    site.browser.visit(site.address("wsgi"))
    site.check("progress-waiting")

    site.browser.click('[data-part="cancel"] button')
    site.wait_for('job-progress[data-status="cancelled"]')

    assert site.browser.text('[data-part="text"]') == "Cancelled."
    assert not site.browser.run(
        "return document.querySelector('form').checkVisibility()"
    )
    site.check("progress-cancelled")


def test_what_is_meant_for_the_person_is_read_by_the_person(site):
    script = site.start("asgi", "refused")

    site.write(script, "refuse This file has no rows.")
    site.wait_for('job-progress[data-status="failed"]')

    assert site.browser.text('[data-part="text"]') == "This file has no rows."
    site.check("progress-failed")


def test_without_javascript_a_page_of_its_own_goes_on_by_itself(site):
    browser = site.browser
    name = "Emulation.setScriptExecutionDisabled"
    browser.command(name, value=True)
    try:
        script = site.folder / "quiet"
        browser.visit(site.address("wsgi", f"start/?script={script}"))
        browser.click("noscript a")
        site.write(script, "say 40 Reading")
        site.wait_for_text("message", "Reading")
        site.write(script, "attach quiet.txt")
        site.write(script, "end")
        site.wait_for('[data-part="files"] a')
    finally:
        browser.command(name, value=False)
    browser.reload()
    site.check("progress-page")


def test_a_server_that_goes_away_is_told_and_waited_for(site):
    script = site.start("wsgi", "away")
    site.write(script, "say 20 Reading")
    site.wait_for_text("message", "Reading")

    site.servers["wsgi"].kill_all()
    site.wait_for_text("text", "We cannot look just now.")
    site.check("progress-away")
    site.serve("wsgi")
    site.write(script, "end")
    site.wait_for('job-progress[data-status="succeeded"]')

    assert site.browser.text('[data-part="text"]') == "Done."
