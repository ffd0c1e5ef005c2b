"""The walkthrough: people send the form, a worker works, all of it is checked."""

import io
from contextlib import redirect_stdout

from django.conf import settings

from dbqueue import enqueue
from dbqueue.models import FinishedJob, Job, Worker
from people.models import Profile
from people.pdf import PdfUnavailable, load_weasyprint
from people.tasks import flaky, hopeless, reminder
from walkthrough import report
from walkthrough.browser import Browser
from walkthrough.gallery import Gallery
from walkthrough.ground import own_jobs
from walkthrough.projection import Projection
from walkthrough.proof import (
    REMINDER_DELAY,
    complaints,
    is_for_photograph,
    pdf_file,
    reason,
    task_name,
)
from walkthrough.services import Failed, wait_until
from walkthrough.visitors import ERRING_VISITOR, VISITORS, has_font_for

PROCESSES, THREADS = 2, 12  # of the worker: a thread for each of their summaries
WORKER_NAME = "about-me-demo"
START_TIMEOUT = 30  # seconds until site and worker must be there
JOBS_TIMEOUT = 60  # seconds until all jobs must have finished
FONTS = (
    "sudo apt-get install -y --no-install-recommends "
    "fonts-noto-core fonts-droid-fallback fonts-noto-color-emoji"
)


class Story:
    """Tells through `say`, line by line, what happens at the site's address."""

    def __init__(self, say, address, *, site, worker):
        self._say = say
        self._browser = Browser(address)
        self._gallery = Gallery(say, address)
        self._projection = Projection(say, address)
        self._services = (site, worker)
        self._worker = worker
        self._pdf_trouble = _pdf_trouble()
        self._visitors = VISITORS if self._pdf_trouble else self._presentable()

    def tell(self):
        """Go through all of it. Raises Failed where it does not come out well."""
        self._await_services()
        self._fill_in_forms()
        self._make_a_mistake()
        enqueue(flaky)
        enqueue(hopeless)
        enqueue(reminder.using(run_after=REMINDER_DELAY), "Water the plants")
        self._gallery.send()
        self._projection.send()
        self._await_jobs()
        jobs, profiles = list(own_jobs(FinishedJob)), Profile.objects.in_bulk()
        self._gallery.look()
        wait_until(
            self._projection.is_over,
            seconds=JOBS_TIMEOUT,
            otherwise=lambda: "The film is still on its way.",
            services=self._services,
        )
        self._projection.look()
        self._show(jobs, profiles)
        self._check(jobs, profiles)

    def moral(self):
        """Return the sentence that a story without complaints ends with."""
        if self._pdf_trouble:
            return f"All worked but the PDFs: {self._pdf_trouble}"
        how = "mailed and read back" if settings.MAIL_FOLDER else "sent by SMTP"
        return (
            f"It all worked: {len(self._visitors)} summaries were drawn, {how}, and "
            "the photographs and the other jobs ended as they should."
        )

    def _presentable(self):
        here = [visitor for visitor in VISITORS if has_font_for(visitor["name"])]
        away = [visitor["name"] for visitor in VISITORS if visitor not in here]
        if not here:
            raise Failed(f"This system has no fonts. Run: {FONTS}")
        if away:
            self._say(f"No font here can write {', '.join(away)}. Run: {FONTS}")
        return here

    def _await_services(self):
        wait_until(
            self._browser.reaches_the_site,
            seconds=START_TIMEOUT,
            otherwise=lambda: "The site does not answer.",
            services=self._services,
        )
        wait_until(
            lambda: Worker.objects.filter(name=WORKER_NAME).count() >= PROCESSES,
            seconds=START_TIMEOUT,
            otherwise=lambda: f"No worker came up.\n{self._worker.last_words()}",
            services=self._services,
        )

    def _fill_in_forms(self):
        slowest = 0.0
        for visitor in self._visitors:
            page = self._browser.submit(visitor)
            slowest = max(slowest, self._browser.seconds)
            if f"is on its way to {visitor['email']}" not in page:
                raise Failed(f"{visitor['name']} should be answered at once:\n{page}")
        self._say(
            f"{len(self._visitors)} people sent the form, and each was answered "
            f"within {slowest * 1000:.0f} ms."
        )

    def _make_a_mistake(self):
        page = self._browser.submit(ERRING_VISITOR)
        errors = ("Please tell us your name.", "Enter a valid email address.")
        if not all(error in page for error in errors):
            raise Failed(f"A wrong form should be refused:\n{page}")
        if Profile.objects.filter(email=ERRING_VISITOR["email"]).exists():
            raise Failed("A wrong form was saved.")
        self._say(f"One form was refused: {' '.join(errors)}")

    def _await_jobs(self):
        wait_until(
            lambda: not own_jobs(Job).exists(),
            seconds=JOBS_TIMEOUT,
            otherwise=self._unfinished,
            services=self._services,
        )

    def _unfinished(self):
        jobs = [
            f"  {task_name(job)} ({job.state}, {job.attempt} attempts) {reason(job)}"
            for job in own_jobs(Job)
        ]
        head = f"Unfinished after {JOBS_TIMEOUT} s:"
        return "\n".join([head, *jobs, self._worker.last_words()])

    def _show(self, jobs, profiles):
        jobs = [job for job in jobs if not is_for_photograph(job, profiles)]
        for block in (
            report.table(jobs, profiles),
            report.failures(jobs),
            report.files(jobs, profiles),
            self._gallery.table(),
            self._gallery.sentences(),
        ):
            if block:
                self._say("\n" + "\n".join(f"  {line}" for line in block))
        self._say("")

    def _check(self, jobs, profiles):
        found = [
            f"{task_name(job)} ({report.subject(job, profiles)}) {complaint}."
            for job in jobs
            for complaint in complaints(job, profiles, self._pdf_trouble)
        ]
        summaries = {
            job.args[0]: job for job in jobs if task_name(job) == "send_summary"
        }
        pdfs = {pk: pdf_file(job) for pk, job in summaries.items() if job.result}
        found.extend(self._gallery.complaints(pdfs))
        people = len(self._visitors) + self._gallery.accepted
        expected = people + len(report.DESCRIBED)
        if len(jobs) != expected:
            found.append(f"{expected} jobs should have finished, not {len(jobs)}.")
        if found:
            raise Failed("\n".join(found))


def _pdf_trouble():
    try:
        # WeasyPrint prints a page of advice when it misses a library.
        with redirect_stdout(io.StringIO()):
            load_weasyprint()
    except PdfUnavailable as trouble:
        return str(trouble)
    return ""
