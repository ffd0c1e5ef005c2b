"""Looks at what the jobs left behind: their records, the PDFs and the mails."""

import email
import email.policy
import unicodedata
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from pypdf import PdfReader

from dbqueue.models import JobState
from walkthrough.visitors import PHOTOGRAPHERS

REMINDER_DELAY = timedelta(seconds=3)


def complaints(job, profiles, pdf_trouble):
    """Yield a sentence for everything about a finished job that is not as it should be.

    `profiles` has the profiles by pk; `pdf_trouble` is why there can be no PDF, or "".
    """
    name = task_name(job)
    if name == "send_summary" and pdf_trouble:
        yield from _ended(job, JobState.FAILED, failures=1)
        if reason(job) != pdf_trouble:
            yield f"should say {pdf_trouble!r}, but says {reason(job)!r}"
    elif name == "send_summary":
        yield from _summary(job, profiles[job.args[0]])
    elif name == "flaky":
        yield from _ended(job, JobState.SUCCESSFUL, failures=2)
    elif name == "hopeless":
        yield from _ended(job, JobState.FAILED, failures=2)
    elif name == "reminder":
        yield from _ended(job, JobState.SUCCESSFUL, failures=0)
        if job.started_at < job.enqueued_at + REMINDER_DELAY:
            yield f"started too early, at {job.started_at}"


def is_for_photograph(job, profiles):
    """Tell whether a job is the summary of one who came for a photograph's sake."""
    if task_name(job) != "send_summary":
        return False
    return profiles[job.args[0]].email.endswith(PHOTOGRAPHERS)


def task_name(job):
    return job.task.rpartition(".")[2]


def reason(job):
    """Return the message of the last attempt that failed, or nothing."""
    return job.attempt_log[-1].get("message", "") if job.attempt_log else ""


def pdf_file(job):
    return Path(job.result["pdf"])


def mail_file(profile):
    """Return where the folder backend puts the profile's mail."""
    return settings.MAIL_FOLDER / f"{profile.reference}.eml"


def _ended(job, state, *, failures):
    if job.state != state:
        yield f"should be {state}, but is {job.state} {reason(job)}".rstrip()
    # Not its attempts: a summary that looks again for its photo has several.
    if job.failures != failures:
        yield f"should fail {failures} times, but failed {job.failures} times"


def _summary(job, profile):
    yield from _ended(job, JobState.SUCCESSFUL, failures=0)
    if job.state != JobState.SUCCESSFUL:
        return
    pdf = pdf_file(job)
    if not _contains(_text_of(pdf), profile.name):
        yield f"{pdf} should contain the name {profile.name!r}"
    if settings.MAIL_FOLDER:
        yield from _mail(mail_file(profile), profile, pdf.read_bytes())


def _mail(path, profile, pdf):
    if not path.exists():
        yield f"{path} is missing"
        return
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    to = [address.addr_spec for address in mail["To"].addresses]
    if to != [profile.email]:
        yield f"{path} is addressed to {to}, not to {profile.email}"
    if profile.name not in mail["Subject"]:
        yield f"{path} should name {profile.name!r} in its subject, {mail['Subject']!r}"
    if [part.get_content() for part in mail.iter_attachments()] != [pdf]:
        yield f"{path} should carry the PDF as its one attachment"


def _text_of(pdf):
    return "".join(page.extract_text() for page in PdfReader(pdf).pages)


def _contains(text, name):
    text, name = _letters(text), _letters(name)
    # What runs from right to left may come out of a PDF in the order of the page.
    return name in text or name[::-1] in text


def _letters(text):
    # A PDF holds shapes: spaces, direction marks and ligatures are the reader's guess.
    return "".join(
        character
        for character in unicodedata.normalize("NFKC", text)
        if unicodedata.category(character) not in ("Zs", "Cc", "Cf")
    )
