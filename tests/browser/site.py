"""The example as a real site, for tests in a browser and for pictures."""

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from tests.browser.chromium import chromium
from tests.support.processes import ROOT, WorkerProcess, wait_until

EXAMPLE = ROOT / "example"
MANAGE = [sys.executable, EXAMPLE / "manage.py"]
USER, PASSWORD = "ada", "lovelace"
_SET_UP = f"""
from django.contrib.auth.models import User
User.objects.create_superuser({USER!r}, "ada@example.com", {PASSWORD!r})
"""
_ROWS = """
from dbqueue.models import FinishedJob, Job, Schedule, Upload, Worker
for model in (FinishedJob, Job, Schedule, Upload, Worker):
    row = model._base_manager.first()
    if row is not None:
        print(f"{model._meta.model_name}/{row.pk}/change/")
        if model is FinishedJob:
            print(f"finishedjob/{row.pk}/again/")
"""


class AdminSite:
    """The admin of the example in a browser, and a shell on its database."""

    def __init__(self, browser, address, environment, folder):
        self.browser = browser
        self.address = address
        self._environment = environment
        self._folder = folder

    def visit(self, place=""):
        self.browser.visit(f"{self.address}admin/dbqueue/{place}")

    def log_in(self):
        self.browser.visit(f"{self.address}admin/login/?next=/admin/dbqueue/")
        self.browser.fill_in("#id_username", USER)
        self.browser.fill_in("#id_password", PASSWORD)
        self.browser.click("[type=submit]")
        self.wait_for("#dbq-overview")

    def run(self, code):
        """Run Python on the site's database; return what it prints."""
        command = [sys.executable, "-c", f"import django; django.setup()\n{code}"]
        return subprocess.run(
            command, env=self._environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    def start_worker(self, *arguments):
        command = [*MANAGE, "runworker", "--no-reload", *arguments]
        return WorkerProcess(command, self._environment, self._folder / "worker.log")

    def paint(self, code):
        """Run code that prints JSON; return what it says."""
        return json.loads(self.run(code).splitlines()[-1])

    def live_workers(self):
        """Return the ids of the workers that live, by the word of the database."""
        code = "from dbqueue.models import Worker; "
        code += "print(*Worker.objects.values_list('pk', flat=True))"
        return set(self.run(code).split())

    def pages_of_rows(self):
        """Return the places of pages that show one row, of each kind that there is."""
        return self.run(_ROWS).split()

    def wait_for(self, selector):
        self.browser.wait_for(selector)

    def wait_for_text(self, text, selector="body"):
        def is_there():
            try:
                return text in self.browser.text(selector)
            except AssertionError:  # the element was replaced meanwhile
                return False

        shown = self.browser.run("return document.body.innerText.slice(0, 2000)")
        wait_until(is_there, f"{selector} says {text!r}\n{shown}")


@contextmanager
def admin_site(folder, **settings):
    """Give the AdminSite of a server of its own."""
    environment = {
        **{k: v for k, v in os.environ.items() if k != "DATABASE_URL"},
        "DJANGO_SETTINGS_MODULE": "settings",
        "EXAMPLE_VAR": str(folder / "var"),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{EXAMPLE}",
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
    subprocess.run([*MANAGE, "migrate", "-v0"], env=environment, check=True)
    address = f"127.0.0.1:{_free_port()}"
    command = [*MANAGE, "runserver", "--noreload", address]
    server = WorkerProcess(command, environment, folder / "server.log")
    try:
        wait_until(lambda: _answers(f"http://{address}/"), "the site answers")
        with chromium(folder, environment) as browser:
            site = AdminSite(browser, f"http://{address}/", environment, folder)
            site.run(_SET_UP)
            site.log_in()
            yield site
    finally:
        server.kill_all()


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
