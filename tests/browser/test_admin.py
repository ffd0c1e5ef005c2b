"""The admin in a real browser: a real server, and a real worker behind it."""

import pytest
from django.db import connection

from tests.browser.chromium import MISSING
from tests.browser.site import admin_site
from tests.support.processes import PATIENCE, scaled, wait_until

pytestmark = [
    pytest.mark.skipif(
        connection.vendor != "sqlite",
        reason="the example has an SQLite file of its own; once is enough",
    ),
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"NO BROWSER HERE: {' and '.join(MISSING)} not found, install Debian's "
        "chromium and chromium-driver",
    ),
]
ENQUEUE = "from people.tasks import reminder; from dbqueue import enqueue_many; "
FAIL = """
from django.utils import timezone
from dbqueue.models import FinishedJob
now = timezone.now()
FinishedJob.objects.all().delete()
FinishedJob.objects.bulk_create(FinishedJob(
    task="people.tasks.reminder", queue_name="default", backend="default",
    state="FAILED", max_attempts=1, failures=1, kwargs={"text": "again"},
    exception="shop.Broken", enqueued_at=now, finished_at=now) for _ in range(%d))
"""
# One process asks, as each needs a second to begin.
AGAIN = """
import time
from dbqueue.models import FinishedJob
done = FinishedJob.objects.filter(state="SUCCESSFUL", task="people.tasks.reminder")
until = time.monotonic() + %s
while done.count() < %d and time.monotonic() < until:
    time.sleep(0.1)
print(done.count())
"""
MANY = scaled(700, 5000)
COUNT = "document.querySelector('.dbq-tile strong').textContent"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with admin_site(tmp_path_factory.mktemp("admin")) as site:
        yield site


@pytest.fixture
def worker(site):
    """Return a function that starts a worker."""
    started = []

    def start(*arguments):
        started.append(site.start_worker(*arguments))

    yield start
    for process in started:
        process.kill_all()


@pytest.fixture
def without_javascript(site):
    name = "Emulation.setScriptExecutionDisabled"
    site.browser.command(name, value=True)
    yield
    site.browser.command(name, value=False)


def test_the_overview_moves_by_itself_while_a_worker_drains_the_queue(site, worker):
    site.run(f"{ENQUEUE}enqueue_many(reminder, [('a',)] * 300)")
    site.visit()
    assert site.browser.run(f"return {COUNT}") == "300"
    site.browser.run("window.isTheSamePage = true")

    worker()

    wait_until(lambda: site.browser.run(f"return {COUNT}") == "0", "it has drained")
    assert site.browser.run("return window.isTheSamePage")


def test_a_paused_overview_stands_still_and_says_so(site):
    site.visit()
    site.browser.click("[data-dbq-pause]")

    assert site.browser.text("[data-dbq-pause]") == "Paused"
    site.visit()
    assert site.browser.text("[data-dbq-pause]") == "Paused"
    site.browser.click("[data-dbq-pause]")


def test_a_queue_is_paused_and_workers_obey_until_it_is_resumed(site, worker):
    site.visit("queues/default/")
    site.browser.fill_in("[name=reason]", "the mail server is down")
    site.browser.click(".dbq-form [value=pause]")
    site.wait_for_text("the mail server is down", "#dbq-queues-live")

    site.visit("queues/default/")
    site.browser.click(".dbq-form [value=resume]")

    site.wait_for_text("Resumed default", ".messagelist")


def test_many_failed_jobs_are_retried_by_a_filter_with_progress(site, worker):
    site.run(FAIL % MANY)
    worker()
    site.visit("worker/")
    site.wait_for(".dbq-successful")
    site.visit("finishedjob/?state=FAILED")
    site.browser.click("#dbq-action [value=retry]")
    site.browser.click("[name=select_across]")

    site.browser.click(".dbq-actions button")

    site.wait_for_text("move_all", "#dbq-job h1")
    assert site.run(AGAIN % (PATIENCE, MANY)) == str(MANY)
    site.browser.reload()
    site.wait_for_text(f"{MANY}", "#dbq-job")


def test_a_job_is_retried_on_its_page_without_javascript(site, without_javascript):
    site.run(FAIL % 1)
    site.visit("finishedjob/?state=FAILED")
    site.browser.click(".dbq-jobs th a")
    assert "Failed" in site.browser.text("#dbq-job h1")

    site.browser.click(".dbq-buttons [value=retry]")

    assert "will be run again" in site.browser.text(".messagelist")
    assert "Ready" in site.browser.text("#dbq-job h1")


def test_nothing_on_the_pages_breaks_a_strict_policy_or_the_width_of_a_phone(site):
    for place in ("", "queues/", "job/", "finishedjob/", "worker/", "tasks/"):
        site.visit(place)
        assert not site.browser.run(
            "return document.querySelectorAll('#content-main [style], "
            "#content-main script, #content-main style').length"
        )
        size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        site.browser.command("Emulation.setDeviceMetricsOverride", **size)
        assert site.browser.run("return document.documentElement.scrollWidth") <= 390
        site.browser.command("Emulation.clearDeviceMetricsOverride")
