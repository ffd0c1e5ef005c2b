"""The admin in a real browser: a real server, and a real worker behind it."""

import json
import signal

import pytest

from tests.browser.marks import WITH_BROWSER
from tests.browser.site import admin_site
from tests.support.processes import PATIENCE, on_demand, scaled, wait_until

pytestmark = WITH_BROWSER
ENQUEUE = "from people.tasks import reminder; from dbqueue import enqueue_many; "
HOLD = "from tests.browser.admin_tasks import hold; print(hold.enqueue(%r).id)"
FORGET = """
from dbqueue.models import FinishedJob, Job, Pause
for model in (Job, FinishedJob, Pause):
    model.objects.all()._raw_delete("default")
"""
FAIL = """
from django.utils import timezone
from dbqueue.models import FinishedJob
now = timezone.now()
FinishedJob.objects.bulk_create(FinishedJob(
    task="people.tasks.reminder", queue_name="default", backend="default",
    state="FAILED", max_attempts=1, failures=1, kwargs={"text": "again"},
    exception="shop.Broken", enqueued_at=now, finished_at=now) for _ in range(%d))
"""
SUCCEED = """
FinishedJob.objects.filter(pk=FinishedJob.objects.first().pk).update(state="SUCCESSFUL")
"""
# One process asks, as each needs a second to begin.
DONE = """
import time
from dbqueue.models import FinishedJob
done = FinishedJob.objects.filter(state="SUCCESSFUL", task=%r)
until = time.monotonic() + %s
while done.count() < %d and time.monotonic() < until:
    time.sleep(0.1)
print(done.count())
"""
REMINDER = "people.tasks.reminder"
MANY = scaled(700, 5000)
COUNT = "document.querySelector('.dbq-tile strong').textContent"
INLINE = """
return [...document.querySelectorAll(
    "#content-main [style], #content-main script, #content-main style"
)].map((element) => element.outerHTML)
"""
PAGES = (
    *("", "queues/", "job/", "finishedjob/", "finishedjob/?state=FAILED", "worker/"),
    *("tasks/", "tasks/people.tasks.reminder/", "queues/default/", "limits/"),
)
# The framework's lists and forms, with labels and scripts of its own.
STOCK = "schedule/", "schedule/add/", "upload/"
LIMIT = """
from django.utils import timezone
from dbqueue.models import LimitRule
LimitRule.objects.update_or_create(name="stripe",
    defaults={"concurrency": 2, "declared_at": timezone.now()})
"""
# What the keyboard has to come to on a page, each with a number.
REACHED = """
const all = document.querySelectorAll("#content-main :is(a[href], button, input," +
    "select, textarea, summary, [tabindex='0'])");
const shown = [...all].filter((one) => one.checkVisibility() && !one.disabled
    && one.type !== "hidden" && one.tabIndex >= 0);
// Of several of a name, the arrow keys go from the chosen one to the others.
const met = new Set();
const alone = shown.filter((one) => one.type !== "radio"
    || !met.has(one.name) && met.add(one.name));
window.dbqTargets = alone;
window.dbqReached = new Set();
window.dbqUnseen = new Set();
document.addEventListener("focusin", ({target}) => {
    window.dbqReached.add(target.type === "radio"
        ? alone.find((one) => one.name === target.name) : target);
    const {outlineStyle, outlineWidth, boxShadow, borderColor} =
        getComputedStyle(target);
    if ((outlineStyle === "none" || parseFloat(outlineWidth) === 0)
        && boxShadow === "none")
        window.dbqUnseen.add(target);
});
const content = document.querySelector("#content-main");
content.tabIndex = -1;
content.focus();
return alone.length;
"""
LEFT = """
const told = (one) => one.outerHTML.slice(0, 200);
const left = window.dbqTargets.filter((one) => !window.dbqReached.has(one));
return {left: left.map(told), unseen: [...window.dbqUnseen].map(told)};
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with admin_site(tmp_path_factory.mktemp("admin")) as site:
        yield site


@pytest.fixture
def worker(site):
    """Return a function that starts a worker, and waits until it lives."""
    started = []

    def start(*arguments):
        # Of what was killed before, a row may live on for a lease.
        before = site.live_workers()
        started.append(site.start_worker(*arguments))
        wait_until(lambda: site.live_workers() - before, "the worker lives")

    yield start
    for process in started:
        process.tell(signal.SIGTERM)  # so that no lease is left
        process.process.wait(PATIENCE)
        process.kill_all()


@pytest.fixture(autouse=True)
def nothing(site):
    """Begin each test without a job."""
    site.run(FORGET)


def done(site, count, task=REMINDER):
    """Return how many jobs of the task have succeeded, once they are so many."""
    return int(site.run(DONE % (task, PATIENCE, count)))


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
    worker()
    site.visit("queues/default/")
    site.browser.fill_in("[name=reason]", "the mail server is down")
    site.browser.click(".dbq-form [value=pause]")
    site.wait_for_text("the mail server is down", "#dbq-queues-live")

    site.run(f"{ENQUEUE}enqueue_many(reminder, [('a',)] * 20)")
    # The worker goes on with what is not paused, and so has looked since.
    site.run(
        "from people.tasks import reminder; "
        "reminder.using(queue_name='mail').enqueue('b')"
    )
    assert done(site, 1) == 1
    site.visit()
    site.wait_for_text("20", ".dbq-tile strong")
    assert done(site, 0) == 1

    site.visit("queues/default/")
    site.browser.click(".dbq-form [value=resume]")
    site.wait_for_text("Resumed default", ".messagelist")
    assert done(site, 21) == 21


def test_a_running_job_is_cancelled_on_its_page(site, worker, tmp_path):
    worker()
    id = site.run(HOLD % str(tmp_path / "never"))
    site.visit(f"job/{id}/change/")
    site.wait_for_text("Holding on", "#dbq-job")
    site.browser.click(".dbq-buttons [value=cancel]")
    assert "asked to stop" in site.browser.text("#content-main")

    site.browser.click(".dbq-form button")

    # What it says is gone when the page of the job that has ended comes by itself.
    site.wait_for_text("Cancelled", "#dbq-job h1")
    assert "ada" in site.browser.text("#content-main")


def test_many_failed_jobs_are_retried_by_a_filter_with_progress(site, worker):
    site.run(FAIL % MANY)
    worker()
    site.visit("finishedjob/?state=FAILED")
    site.browser.click("#dbq-action [value=retry]")
    site.browser.click("[name=select_across]")

    site.browser.click(".dbq-actions button")

    site.wait_for_text("move_all", "#dbq-job h1")
    assert done(site, MANY) == MANY
    site.browser.reload()
    site.wait_for_text(f"{MANY}", "#dbq-job")


def test_a_schedule_is_edited_run_and_disabled(site, worker):
    worker()  # which has written down what is declared
    site.visit("schedule/")
    site.browser.click("#result_list tbody th a")
    before = site.browser.text(".field-upcoming")
    site.browser.run("document.querySelector('[name=cron]').value = '30 4 * * *'")
    site.browser.click("[name=_continue]")

    assert "changed successfully" in site.browser.text(".messagelist")
    assert site.browser.text(".field-upcoming") != before
    assert "3:30" in site.browser.text(".field-upcoming")

    site.browser.click("[value='Run now']")
    assert "1 job was enqueued" in site.browser.text(".messagelist")
    assert done(site, 1, "people.tasks.send_week") == 1
    site.browser.click("[name=enabled]")
    site.browser.click("[name=_save]")
    site.wait_for("#result_list .field-enabled img[alt=False]")


def test_a_job_is_retried_on_its_page_without_javascript(site, without_javascript):
    site.run(FAIL % 1)
    site.visit("finishedjob/?state=FAILED")
    site.browser.click(".dbq-jobs th a")
    assert "Failed" in site.browser.text("#dbq-job h1")

    site.browser.click(".dbq-buttons [value=retry]")

    assert "will be run again" in site.browser.text(".messagelist")
    assert "Ready" in site.browser.text("#dbq-job h1")


@on_demand
def test_a_limit_is_set_taken_back_and_paused_without_javascript(
    site, without_javascript
):
    site.run(LIMIT)
    site.visit("limits/")
    site.browser.click("#content-main th a")
    site.browser.fill_in("[name=concurrency]", "5")
    site.browser.click("[value=set]")
    assert "5 at once" in site.browser.text("#content-main .dbq-head")

    site.browser.click("[value=reset]")
    assert "2 at once" in site.browser.text("#content-main .dbq-head")
    site.browser.fill_in("[name=reason]", "they are down")
    site.browser.click("[value=pause]")
    assert "they are down" in site.browser.text(".dbq-note")
    site.browser.click("[value=resume]")
    assert not site.browser.find(".dbq-note")


@on_demand
def test_a_schedule_is_edited_and_run_without_javascript(
    site, worker, without_javascript
):
    worker()  # which has written down what is declared
    site.visit("schedule/")
    site.browser.click("#result_list tbody th a")
    site.browser.click("[name=enabled]")
    site.browser.click("[name=_continue]")
    assert "changed successfully" in site.browser.text(".messagelist")

    site.browser.click("[value='Run now']")
    assert "1 job was enqueued" in site.browser.text(".messagelist")
    site.browser.click("[name=enabled]")
    site.browser.click("[name=_save]")
    site.wait_for("#result_list .field-enabled img[alt=True]")


@on_demand
def test_each_page_is_used_with_the_keyboard_alone_and_shows_where_it_is(site):
    some = f"{ENQUEUE}enqueue_many(reminder, [('a',)] * 3)"
    site.run(some + FAIL % 3 + SUCCEED + LIMIT)
    found = {}
    for place in [*PAGES, *STOCK, "limits/stripe/", *site.pages_of_rows()]:
        site.visit(place)
        # Some fields of dates have parts of their own.
        for _ in range(site.browser.run(REACHED) + 20):
            site.browser.press("Tab")
        seen = site.browser.run(LEFT)
        if seen["left"] or seen["unseen"]:
            found[place] = seen

    assert not found, json.dumps(found, indent=1)


def test_no_page_breaks_a_strict_policy_the_width_of_a_phone_or_what_axe_asks(site):
    some = f"{ENQUEUE}enqueue_many(reminder, [('a',)] * 3)"
    site.run(some + FAIL % 3 + SUCCEED)
    pages = [*PAGES, *STOCK, *site.pages_of_rows()]
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    found = {}
    for place in pages:
        site.browser.log()
        site.visit(place)
        problems = []
        if not place.startswith(("schedule/", "upload/")):
            problems = site.browser.axe(besides=".breadcrumbs")
            problems += site.browser.run(INLINE)
            told = site.browser.log()
            problems += [line for line in told if "Content Security" in line]
        site.browser.command("Emulation.setDeviceMetricsOverride", **size)
        width = site.browser.run("return document.documentElement.scrollWidth")
        problems += [f"{width} pixels wide"] if width > 390 else []
        site.browser.command("Emulation.clearDeviceMetricsOverride")
        if problems:
            found[place] = problems

    assert not found, json.dumps(found, indent=1)
