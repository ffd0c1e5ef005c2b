"""Cadences of a project's own: wherever a Cron may stand."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from dbqueue import Every, schedule
from dbqueue.exceptions import InvalidSchedule, UnknownCadence
from dbqueue.models import Job
from dbqueue.schedules.declared import declarations, sync
from dbqueue.schedules.firing import changes, looking
from dbqueue.schedules.models import Schedule
from dbqueue.schedules.times import base, cadence
from tests import tasks
from tests.schedules.test_firing import come
from tests.schedules.times_of_own import Noons

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    monkeypatch.setattr(declarations, "declared", {})
    changes.unknown.clear()
    changes.unknown_kinds.clear()
    looking._prepared.clear()


def test_a_row_keeps_it_and_its_ticks_are_fired():
    row = Schedule.objects.create(name="n", task="tests.tasks.noop", cadence=Noons(2))
    come(row)

    looking.fire_due("default")

    read = Schedule.objects.get()
    assert read.cadence == Noons(2)
    assert read.words() == "At noon, each 2 days"
    assert read.next_run_at.astimezone(UTC).hour == 12
    assert Job.objects.count() == 1


def test_code_declares_it():
    schedule(tasks.noop, Noons(3), name="n")

    sync.sync("default")
    report = sync.sync("default")

    assert Schedule.objects.get().cadence == Noons(3)
    assert (report.created, report.changed, report.wrong) == ([], [], [])


def test_a_worker_that_does_not_know_its_kind_leaves_it_to_others(monkeypatch):
    row = Schedule.objects.create(name="n", task="tests.tasks.noop", cadence=Noons())
    moment = come(row)
    known = Schedule.objects.create(name="k", task=row.task, cadence=Every(3600))
    come(known)
    monkeypatch.delitem(base.kinds, "noons")

    looking.fire_due("default")
    seconds = looking.fire_due("default")

    assert Job.objects.get().context["dbqueue.schedule"]["name"] == "k"
    assert seconds > 0.0, "it is asked no more"
    row.refresh_from_db()
    assert abs(row.due_at - moment) < timedelta(milliseconds=1)
    assert not row.problem
    with pytest.raises(UnknownCadence, match="noons"):
        cadence.read({"noons": {"days": 1}})


@pytest.mark.parametrize("kept", [{"noons": {"hours": 1}}, {"noons": 5}, {"x": "y"}])
def test_what_its_row_holds_may_be_damaged(kept):
    with pytest.raises(InvalidSchedule):
        cadence.read(kept)


def test_the_form_of_the_admin_leaves_it(client):
    row = Schedule.objects.create(name="n", task="tests.tasks.noop", cadence=Noons())
    client.force_login(User.objects.create_superuser("admin"))
    url = reverse("admin:dbqueue_schedule_change", args=[row.pk])
    form = client.get(url).context["adminform"].form
    given = {name: form[name].value() for name in form.fields}
    given = {name: "" if value is None else value for name, value in given.items()}
    given |= {"args": "[]", "kwargs": "{}", "description": "changed"}

    answer = client.post(url, given)

    assert answer.status_code == 302, answer.context["adminform"].form.errors
    row.refresh_from_db()
    assert (row.description, row.cadence) == ("changed", Noons())


def test_moments_are_those_of_its_class():
    moment = datetime(2026, 5, 5, 13, tzinfo=UTC)

    assert Noons().after(moment) == datetime(2026, 5, 6, 12, tzinfo=UTC)
