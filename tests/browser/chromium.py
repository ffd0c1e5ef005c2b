"""Chromium, driven through the WebDriver protocol in plain HTTP."""

import base64
import json
import os
import re
import shutil
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from tests.support.processes import WorkerProcess, wait_until

PROGRAMS = ("chromium", "chromedriver")
# Its Python asks for a browser of its own, of which there is no need.
_HOME = find_spec("axe_playwright_python")
_AXE = os.environ.get("DBQUEUE_TEST_AXE") or (
    _HOME and Path(_HOME.origin).with_name("axe.min.js")
)
AXE = Path(_AXE) if _AXE and Path(_AXE).exists() else None
MISSING = [name for name in PROGRAMS if not shutil.which(name)]

_ARGUMENTS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    # It must ask nobody but the site: without these it calls home at every start.
    *("--no-first-run", "--disable-background-networking", "--disable-quic"),
    *("--disable-component-update", "--disable-sync", "--no-proxy-server"),
]
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name for a reference
_STARTED = re.compile(r"started successfully on port (\d+)")


@contextmanager
def chromium(folder, environment):
    """Give a Browser, which writes below the folder."""
    command = [shutil.which("chromedriver"), "--port=0"]
    driver = WorkerProcess(command, environment, folder / "chromedriver.log")
    try:
        started = wait_until(lambda: _STARTED.search(driver.output), "the driver is up")
        browser = Browser(f"http://127.0.0.1:{started[1]}", folder / "profile")
        yield browser
        browser.quit()
    finally:
        driver.kill_all()


class Browser:
    """One window."""

    def __init__(self, driver, profile):
        self._driver = f"{driver}/session"
        self._open = build_opener(ProxyHandler({})).open
        options = {
            "binary": shutil.which("chromium"),
            "args": [*_ARGUMENTS, f"--user-data-dir={profile}"],
        }
        matching = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        wanted = {"capabilities": {"alwaysMatch": matching}}
        self._driver += "/" + self._ask("POST", "", wanted)["sessionId"]

    def visit(self, address):
        self._ask("POST", "/url", {"url": address})

    def reload(self):
        self._ask("POST", "/refresh", {})

    def find(self, selector):
        """Return a reference to the first element that fits, or None."""
        wanted = {"using": "css selector", "value": selector}
        found = self._ask("POST", "/elements", wanted)
        return found[0][_ELEMENT] if found else None

    def wait_for(self, selector):
        """Return a reference to the first element that fits, once there is one."""
        return wait_until(lambda: self.find(selector), f"the page has {selector}")

    def text(self, selector="body"):
        """Return what can be read there."""
        return self._ask("GET", f"/element/{self.wait_for(selector)}/text")

    def fill_in(self, selector, text):
        """Type a text, or choose a file by its path."""
        at = f"/element/{self.wait_for(selector)}/value"
        self._ask("POST", at, {"text": str(text)})

    def click(self, selector):
        self._ask("POST", f"/element/{self.wait_for(selector)}/click", {})

    def run(self, script):
        """Return what the JavaScript returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def log(self):
        """Return what the browser's console was told since the last time."""
        lines = self._ask("POST", "/se/log", {"type": "browser"})
        return [line["message"] for line in lines]

    def axe(self, *, besides=""):
        """Return what axe finds to be a serious fault of the page, or worse.

        `besides` is a selector of what it is not to look at.
        """
        if AXE is None:
            how = "pip install --no-deps axe-playwright-python"
            warnings.warn(f"NO AXE HERE: it judges no page; {how}", stacklevel=2)
            return []
        self.run(AXE.read_text())
        return self.run(
            f"return axe.run({{exclude: {json.dumps([besides] if besides else [])}}})"
            ".then((found) => found.violations"
            ".filter((one) => ['serious', 'critical'].includes(one.impact))"
            ".map((one) => `${one.id}: ${one.nodes.map((n) => n.html)}`))"
        )

    def command(self, name, **parameters):
        """Send a command of the DevTools protocol."""
        wanted = {"cmd": name, "params": parameters}
        return self._ask("POST", "/goog/cdp/execute", wanted)

    def press(self, key):
        """Press a key that writes nothing, such as Tab."""
        for kind in ("rawKeyDown", "keyUp"):
            number = {"Tab": 9}[key]
            self.command(
                "Input.dispatchKeyEvent",
                **{"type": kind, "key": key, "code": key},
                windowsVirtualKeyCode=number,
            )

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def quit(self):
        self._ask("DELETE", "")

    def _ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._driver + path, data, method=method)
        try:
            with self._open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error
