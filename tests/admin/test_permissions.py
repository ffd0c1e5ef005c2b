"""What may be seen and done, at every address of the admin and by every form there."""

from datetime import timedelta
from itertools import count

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.utils import timezone

from dbqueue import Cron
from dbqueue.models import Job, LimitRule, Pause, Schedule
from tests import tasks
from tests.admin import addresses
from tests.admin.rows import client_of, failure, records
from tests.gallery.models import Profile
from tests.support.workers import HandWorker
from tests.uploads.rows import an_upload

pytestmark = pytest.mark.django_db
SECRET = "s3cr3t-value"
# What a page asks before it acts, and what the field of that question is called.
CONFIRMED = {"_confirmed": "1", "value": "3", "post": "yes"}
READ = ("GET", "HEAD")


@pytest.fixture
def rows(settings, tmp_path):
    """Have a row of each kind, with secrets in it; return the key of one of each."""
    settings.MEDIA_ROOT = str(tmp_path)
    now = timezone.now()
    said = {
        "args": [SECRET],
        "kwargs": {"x": SECRET},
        "context": {"said": SECRET},
        "attempt_log": failure(message=SECRET),
        "progress": {"value": 1, "total": 2, "message": SECRET},
    }
    said["attempt_log"][0]["traceback"] += f'  File "x.py", line 1, in x\n{SECRET}'
    for _ in range(3):
        tasks.echo.enqueue(SECRET)
    worker = HandWorker()
    worker.claim()
    Job.objects.update(**said)
    waiting = Job.objects.filter(state="READY").first()
    Job.objects.filter(pk=waiting.pk).update(
        state="SCHEDULED", run_after=now + timedelta(days=1)
    )
    (failed,) = records(state="FAILED", exception="a.Broken", failures=1, **said)
    records(result=SECRET, **said)
    LimitRule.objects.create(name="two", concurrency=2, declared_at=now)
    Pause.objects.create(key="queue:mail", paused_at=now, paused_by="ada")
    schedule = Schedule.objects.create(
        name="nightly",
        task="tests.tasks.noop",
        cadence=Cron("30 2 * * *"),
        args=[SECRET],
        kwargs={"x": SECRET},
    )
    upload = an_upload(Profile.objects.create(name="Ada"), "FAILED")
    return {
        "job": waiting.pk,
        "finishedjob": failed.pk,
        "worker": worker.id,
        "schedule": schedule.pk,
        "upload": upload.pk,
    }


@pytest.fixture
def viewer():
    """Return a client of somebody who may view, and nothing more."""
    named = Permission.objects.filter(
        content_type__app_label="dbqueue", codename__startswith="view_"
    )
    return client_of(*(p.codename for p in named if p.codename != "view_job_payload"))


def everything():
    """Return all rows of the app, of whatever model."""
    return {
        model._meta.label: list(model._base_manager.order_by("pk").values())
        for model in apps.get_app_config("dbqueue").get_models()
    }


def all_forms(client, rows):
    """Return address and data of everything that the client's pages can post."""
    found = []
    for address in addresses.every(rows).values():
        response = client.get(address)
        if response.status_code == 200 and not response.streaming:
            posts = addresses.forms(response.text, address)
            found += [(url, data) for url, data in posts if "/dbqueue/" in url]
    # What the page does not offer for this row may be posted all the same.
    found += [(address, {}) for address in addresses.every(rows).values()]
    return [
        (address, data | more) for address, data in found for more in ({}, CONFIRMED)
    ]


def test_a_viewer_sees_no_payload_at_any_address(rows, viewer):
    seen = {}
    for name, address in addresses.every(rows).items():
        response = viewer.get(address)
        seen[name] = response.status_code
        if not response.streaming:
            assert SECRET not in response.text, name

    assert set(seen.values()) <= {200, 302, 403, 404, 405}, seen
    assert seen["overview"] == seen["job_changelist"] == seen["job_change"] == 200


def test_a_viewer_changes_nothing_by_any_address_and_any_form(
    rows, viewer, admin_client
):
    posts = all_forms(admin_client, rows)
    before, logged = everything(), LogEntry.objects.count()  # a download is logged

    answers = {}
    for address, data in posts:
        is_asked = not {"action", "order", "move"}.isdisjoint(data)
        status = viewer.post(address, data).status_code
        answers.setdefault((is_asked, status), []).append((address, data))

    # What asks for nothing may be answered as if it were read.
    assert set(answers) <= {
        *((True, status) for status in (403, 405)),
        *((False, status) for status in (200, 302, 403, 404, 405)),
    }, answers
    assert everything() == before
    assert LogEntry.objects.count() == logged
    assert len(posts) > 50


def test_reading_a_page_changes_nothing(rows, admin_client):
    before = everything()

    for method in READ:
        for address in addresses.every(rows).values():
            admin_client.generic(method, address)

    assert everything() == before


def test_every_change_by_any_form_is_logged_with_who_and_what(rows, admin_client):
    me, changes, numbers = User.objects.get(username="admin"), {}, count()
    posts, before = all_forms(admin_client, rows), everything()
    LogEntry.objects.all().delete()

    for address, data in posts:
        with transaction.atomic():
            data = data | ({"name": f"n{next(numbers)}"} if "name" in data else {})
            admin_client.post(address, data)
            if everything() != before:
                entries = LogEntry.objects.all()
                changes[address, data.get("action"), data.get("order")] = (
                    entries.count()
                )
                for entry in entries:
                    assert entry.user == me
                    assert entry.object_repr
                    assert entry.get_change_message() or entry.is_deletion()
            transaction.set_rollback(True)

    assert changes
    assert all(changes.values()), changes
    assert len(changes) > 15, changes
