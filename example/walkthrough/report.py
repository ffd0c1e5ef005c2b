"""What is printed of the jobs once they are finished."""

from django.conf import settings

from dbqueue.models import JobState
from walkthrough.proof import REMINDER_DELAY, mail_file, pdf_file, reason, task_name
from walkthrough.table import columns

HEAD = ("job", "", "queue", "attempts", "wait", "run time", "outcome")
RIGHT = {3, 4, 5}  # the columns of figures
DESCRIBED = {
    "flaky": "fails twice",
    "hopeless": "always fails",
    "reminder": f"due after {REMINDER_DELAY.seconds} s",
}


def table(jobs, profiles):
    """Return the lines of a table with a row for each job."""
    return columns([HEAD, *(_row(job, profiles) for job in jobs)], right=RIGHT)


def failures(jobs):
    """Return a line for each task that failed, with the message of the exception."""
    failed = (job for job in jobs if job.state == JobState.FAILED)
    return [f"{name}: {message}" for name, message in _messages(failed).items()]


def files(jobs, profiles):
    """Return the lines that say where each PDF and mail lies."""
    rows = []
    for job in jobs:
        if job.result and task_name(job) == "send_summary":
            profile = profiles[job.args[0]]
            paths = [pdf_file(job)]
            if settings.MAIL_FOLDER:
                paths.append(mail_file(profile))
            names = [str(path.relative_to(settings.VAR)) for path in paths]
            rows.append([profile.name, *names])
    return [f"In {settings.VAR}:", *columns(rows)] if rows else []


def subject(job, profiles):
    """Return whom or what a job is about."""
    name = task_name(job)
    return profiles[job.args[0]].name if name == "send_summary" else DESCRIBED[name]


def _row(job, profiles):
    waited = (job.started_at - job.enqueued_at).total_seconds()
    return (
        task_name(job),
        subject(job, profiles),
        job.queue_name,
        str(job.attempt),
        f"{waited:.3f} s",
        f"{job.duration:.3f} s",
        job.state,
    )


def _messages(jobs):
    return {task_name(job): reason(job) for job in jobs}
