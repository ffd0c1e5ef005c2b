"""The state that a walkthrough starts from: only its own traces are removed."""

import fcntl
import secrets
import shutil
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import Error

from dbqueue.models import FinishedJob, Job, Upload
from films.models import Film
from people.models import Profile
from walkthrough.projection import TITLE
from walkthrough.services import Failed
from walkthrough.visitors import PHOTOGRAPHERS, VISITORS

ADMIN = "demo"


@contextmanager
def alone():
    """Hold off another walkthrough, which would remove this one's files."""
    with (settings.VAR / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed("Another demo is running from this folder.") from None
        yield


def clear():
    """Migrate the database and remove what an earlier walkthrough left behind."""
    for folder in ("pdf", "mail", "media"):
        shutil.rmtree(settings.VAR / folder, ignore_errors=True)
    for path in settings.VAR.glob("db.sqlite3*"):
        path.unlink()
    try:
        call_command("migrate", verbosity=0)
        own_jobs(Job).delete()
        own_jobs(FinishedJob).delete()
        emails = [visitor["email"] for visitor in VISITORS]
        Profile.objects.filter(email__in=emails).delete()
        Profile.objects.filter(email__endswith=PHOTOGRAPHERS).delete()
        _forget_photos()
        Upload.objects.filter(model=Film._meta.label).delete()
        Film.objects.filter(title=TITLE).delete()
    except Error as error:
        raise Failed(f"The database cannot be used: {error}") from error


def _forget_photos():
    Upload.objects.filter(model=Profile._meta.label).delete()
    without = {"photo": "", "photo_width": None, "photo_height": None}
    Profile.objects.exclude(photo="").update(**without)


def own_jobs(model):
    """Return the example's jobs in the queue or in the history, oldest first."""
    return model.objects.filter(task__startswith="people.tasks.").order_by(
        "enqueued_at", "id"
    )


def admin_password():
    """Give the admin's user a new password and return it."""
    password = secrets.token_urlsafe(9)
    user, _ = get_user_model().objects.get_or_create(username=ADMIN)
    user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save()
    return password
