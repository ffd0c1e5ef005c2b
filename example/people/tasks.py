"""The jobs of the example: one that is of use, and three that show a queue at work."""

from django.conf import settings

from dbqueue import task
from people.mail import summary_mail
from people.models import Profile
from people.pdf import PdfUnavailable, render_pdf


@task(
    queue_name="mail",
    max_attempts=3,
    timeout=120,
    give_up_on=(PdfUnavailable, Profile.DoesNotExist),
)
def send_summary(profile_id):
    """Mail the person a PDF of the profile."""
    profile = Profile.objects.get(pk=profile_id)
    pdf = render_pdf(profile)
    path = _keep(pdf, f"{profile.reference}.pdf")
    summary_mail(profile, pdf).send()
    return {"to": profile.email, "pdf": str(path)}


@task(takes_context=True, max_attempts=3, backoff=[0.3, 0.3])
def flaky(context):
    """Fail twice, then succeed."""
    if context.attempt < 3:
        raise ConnectionError(f"the other side hung up on attempt {context.attempt}")
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
