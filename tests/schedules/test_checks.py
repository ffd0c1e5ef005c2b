"""System checks of schedules."""

from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.test import override_settings
from django.utils import timezone

from dbqueue import Every
from dbqueue.schedules import checks
from dbqueue.schedules.models import Schedule

pytestmark = pytest.mark.django_db


def test_a_schedule_that_cannot_be_fired_is_found_by_a_check():
    entries = {"wrong": {"task": "tests.tasks.gone", "cron": "@daily"}}
    with override_settings(DBQUEUE={"SCHEDULES": {"ENTRIES": entries}}):
        found = run_checks(tags=["dbqueue_schedules"])

    assert [(message.id, "'wrong'" in message.msg) for message in found] == [
        ("dbqueue.E007", True)
    ]


def test_the_declared_schedules_of_this_suite_are_right():
    assert run_checks(tags=["dbqueue_schedules"]) == []


def test_a_schedule_that_nobody_fires_is_found_by_a_check():
    Schedule.objects.create(name="x", task="tests.tasks.noop", cadence=Every(60))
    assert checks.check_late(["default"]) == []

    moment = timezone.now() - timedelta(minutes=5)
    Schedule.objects.update(next_run_at=moment, due_at=moment)

    (found,) = checks.check_late(["default"])
    assert (found.id, "'x'" in found.msg) == ("dbqueue.W013", True)
    assert checks.check_late([]) == []
