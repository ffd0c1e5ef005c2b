"""Pictures for the documentation: python -m tests.browser.pictures FOLDER [--all]

They are of an invented day, see `scene`, and made anew by the same command. With --all,
of every page there is one in each look: to be looked at, before they are shown.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from tests.browser.site import admin_site  # noqa: E402  it needs models

PAINT = "from tests.browser.scene import paint; import json; print(json.dumps(paint()))"
WIDE, PHONE = (1360, 900), (390, 844)
LOOKS = {  # size, colours, language
    "": (WIDE, "light", "en"),
    "-dark": (WIDE, "dark", "en"),
    "-rtl": (WIDE, "light", "ar"),
    "-phone": (PHONE, "light", "en"),
    "-phone-dark": (PHONE, "dark", "en"),
}
# What the documentation and the README show.
SHOWN = {
    *("overview", "overview-dark", "overview-rtl", "overview-phone"),
    *("jobs", "jobs-phone-dark", "job", "job-running-dark", "again", "queues"),
    *(
        "pause",
        "workers",
        "limits",
        "tasks",
        "task",
        "schedules",
        "schedule",
        "uploads",
    ),
    *("progress", "progress-phone-dark", "progress-done"),
}
MOST = 1700  # pixels of height


def main(folder, *, every):
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary, admin_site(Path(temporary)) as site:
        keys = site.paint(PAINT)
        for name, place in pages(keys).items():
            for look, (size, scheme, language) in LOOKS.items():
                if every or f"{name}{look}" in SHOWN:
                    path = folder / f"{name}{look}.png"
                    take(site, path, place, size, scheme, language)


def pages(keys):
    """Return the places of all pages, by the names of their pictures."""
    admin = "admin/dbqueue/"
    return {
        "overview": admin,
        "jobs": f"{admin}finishedjob/?state=FAILED",
        "waiting": f"{admin}job/",
        "job": f"{admin}finishedjob/{keys['failed']}/change/",
        "job-running": f"{admin}job/{keys['running']}/change/",
        "again": f"{admin}finishedjob/{keys['failed']}/again/",
        "queues": f"{admin}queues/",
        "pause": f"{admin}queues/mail/",
        "workers": f"{admin}worker/",
        "worker": f"{admin}worker/{keys['worker']}/change/",
        "limits": f"{admin}limits/",
        "limit": f"{admin}limits/warehouse/",
        "tasks": f"{admin}tasks/",
        "task": f"{admin}tasks/people.tasks.send_summary/",
        "schedules": f"{admin}schedule/",
        "schedule": f"{admin}schedule/{keys['schedule']}/change/",
        "uploads": f"{admin}upload/",
        "progress": f"jobs/{keys['waited_for']}/",
        "progress-done": f"jobs/{keys['made']}/",
    }


def take(site, path, place, size, scheme, language):
    browser = site.browser
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.command("Emulation.setEmulatedMedia", features=[feature])
    browser.command("Network.enable")
    headers = {"Accept-Language": language}
    browser.command("Network.setExtraHTTPHeaders", headers=headers)
    _resize(browser, *size)
    browser.visit(f"{site.address}{place}")
    browser.run("document.getElementById('nav-sidebar')?.remove()")
    browser.run("document.getElementById('toggle-nav-sidebar')?.remove()")
    height = browser.run(
        "const page = document.querySelector('#content-main, main');"
        "return page.getBoundingClientRect().bottom + scrollY"
    )
    _resize(browser, size[0], min(MOST, int(height) + 40))
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
    main(Path(sys.argv[1]), every="--all" in sys.argv[2:])
