"""Pictures of the admin for the documentation: python -m tests.browser.pictures FOLDER

They are of an invented day, see `scene`, and made anew by the same command.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from tests.browser.site import admin_site  # noqa: E402  it needs models

PAINT = "from tests.browser.scene import paint; print(*paint())"
WIDE, PHONE = (1360, 900), (390, 844)
MOST = 1700  # pixels of height


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary, admin_site(Path(temporary)) as site:
        failed, running = site.run(PAINT).split()
        pages = [
            ("overview", "", WIDE, "light", "en"),
            ("overview-dark", "", WIDE, "dark", "en"),
            ("overview-rtl", "", WIDE, "light", "ar"),
            ("overview-phone", "", PHONE, "light", "en"),
            ("jobs", "finishedjob/?state=FAILED", WIDE, "light", "en"),
            ("jobs-phone", "finishedjob/?state=FAILED", PHONE, "dark", "en"),
            ("job", f"finishedjob/{failed}/change/", WIDE, "light", "en"),
            ("job-running", f"job/{running}/change/", WIDE, "dark", "en"),
            ("queues", "queues/", WIDE, "light", "en"),
            ("workers", "worker/", WIDE, "light", "en"),
            ("tasks", "tasks/", WIDE, "light", "en"),
        ]
        for name, place, size, scheme, language in pages:
            take(site, folder / f"{name}.png", place, size, scheme, language)


def take(site, path, place, size, scheme, language):
    browser = site.browser
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.command("Emulation.setEmulatedMedia", features=[feature])
    browser.command("Network.enable")
    headers = {"Accept-Language": language}
    browser.command("Network.setExtraHTTPHeaders", headers=headers)
    _resize(browser, *size)
    site.visit(place)
    browser.run("document.getElementById('nav-sidebar')?.remove()")
    browser.run("document.getElementById('toggle-nav-sidebar')?.remove()")
    height = browser.run("return document.querySelector('.dbq-page').scrollHeight")
    _resize(browser, size[0], min(MOST, int(height) + 150))
    browser.screenshot(path)


def _resize(browser, width, height):
    browser.command(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=width < 500,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
