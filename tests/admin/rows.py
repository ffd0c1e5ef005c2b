"""Rows for the tests of the admin, and users who may do this or that."""

from datetime import timedelta

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbqueue.models import FinishedJob

VIEW = ("view_job", "view_finishedjob", "view_worker")


def address(name, *args):
    return reverse(f"admin:dbqueue_{name}", args=args)


def client_of(*codenames, name="grace"):
    """Return a client of a user of the admin with these permissions alone."""
    user = User.objects.create_user(name, password="x", is_staff=True)
    chosen = Permission.objects.filter(
        content_type__app_label="dbqueue", codename__in=codenames
    )
    assert len(chosen) == len(codenames)
    user.user_permissions.set(chosen)
    client = Client()
    client.force_login(user)
    return client


def records(count=1, *, state="SUCCESSFUL", seconds=0.0, **columns):
    """Write records that ended one after the other, the first of them the latest."""
    now = timezone.now() - timedelta(seconds=seconds)
    values = {
        "task": "tests.tasks.echo",
        "queue_name": "default",
        "backend": "default",
        "max_attempts": 1,
        **columns,
    }
    return FinishedJob.objects.bulk_create(
        FinishedJob(
            state=state,
            enqueued_at=now - timedelta(seconds=n),
            finished_at=now - timedelta(seconds=n),
            **values,
        )
        for n in range(count)
    )


def failure(exception="smtplib.SMTPServerDisconnected", message="closed\nby peer"):
    """Return the attempt log of a job that has failed once."""
    now = timezone.now().isoformat()
    return [
        {
            "attempt": 1,
            "worker": "0193a0c0-0000-7000-8000-000000000001",
            "started_at": now,
            "ended_at": now,
            "reason": "failed",
            "exception": exception,
            "message": message,
            "traceback": "Traceback (most recent call last):\n",
        }
    ]
