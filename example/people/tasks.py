"""The jobs of the example: two that are of use, and three that show a queue at work."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from dbqueue import Cron, task
from dbqueue.exceptions import Retry
from people import photos
from people.mail import summary_mail, week_mail
from people.models import Profile
from people.pdf import PdfUnavailable, render_pdf

PHOTO_PATIENCE = 60  # looks, a second apart, until the summary goes without the photo


@task(
    queue_name="mail",
    takes_context=True,
    max_attempts=3,
    timeout=120,
    give_up_on=(PdfUnavailable, Profile.DoesNotExist),
)
def send_summary(context, profile_id):
    """Mail the person a PDF of the profile, with the photo if there is one."""
    profile = Profile.objects.get(pk=profile_id)
    if context.attempt <= PHOTO_PATIENCE and photos.is_awaited(profile):
        percent = photos.percent(profile) * 0.4
        context.set_progress(percent, 100, "Preparing your photo")
        raise Retry("The photo is on its way.", after=1)
    context.set_progress(40, 100, "Drawing your page")
    pdf = render_pdf(profile)
    path = _keep(pdf, f"{profile.reference}.pdf")
    context.attach("about-me.pdf", pdf)
    context.set_progress(80, 100, "Sending the mail")
    summary_mail(profile, pdf).send()
    return {"to": profile.email, "pdf": str(path)}


@task(
    queue_name="mail",
    takes_context=True,
    schedule=Cron("0 8 * * mon", timezone="Europe/Berlin"),
)
def send_week(context):
    """Mail to whoever runs the site how many people it met in the week before."""
    until = context.schedule.scheduled_for if context.schedule else timezone.now()
    since = until - timedelta(days=7)
    met = Profile.objects.filter(created_at__gte=since, created_at__lt=until)
    week_mail(until, list(met.order_by("created_at"))).send()
    return met.count()


@task(takes_context=True, max_attempts=3, backoff=[0.3, 0.3])
def flaky(context):
    """Fail twice, then succeed."""
    # Not by its attempts: a busy worker may hand a job back that it has claimed.
    failures = len(context.task_result.errors)
    if failures < 2:
        raise ConnectionError(f"the other side hung up {failures + 1} times")
    return "answered at last"


@task(max_attempts=2, backoff=0.2)
def hopeless():
    """Fail at every attempt."""
    raise ValueError("this never works")


@task
def reminder(text):
    """Return the text; enqueued to run later."""
    return text


def _keep(pdf, name):
    settings.PDF_FOLDER.mkdir(parents=True, exist_ok=True)
    path = settings.PDF_FOLDER / name
    path.write_bytes(pdf)
    return path
