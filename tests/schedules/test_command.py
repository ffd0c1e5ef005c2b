"""manage.py schedules"""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, ManagementUtility, call_command
from django.db.models import F
from django.utils import timezone

from dbqueue import Cron, Every, schedule
from dbqueue.models import FinishedJob, Job
from dbqueue.schedules.declared import declarations
from dbqueue.schedules.firing import looking
from dbqueue.schedules.models import Schedule
from dbqueue.testing import run_jobs
from tests import tasks

pytestmark = pytest.mark.django_db


@pytest.fixture
def nightly():
    return Schedule.objects.create(
        name="nightly",
        task="tests.tasks.noop",
        cadence=Cron("30 2 * * *", timezone="Asia/Kathmandu"),
    )


def ask(*arguments):
    output = StringIO()
    call_command("schedules", *arguments, stdout=output)
    return output.getvalue()


def test_it_lists_schedules_with_their_next_and_last_run(nightly):
    Schedule.objects.update(next_run_at=timezone.now(), due_at=timezone.now())
    looking.fire_due("default")
    run_jobs()

    text = ask()

    assert "nightly  At 02:30 every day (Asia/Kathmandu)" in text
    assert "02:30:00 +0545" in text
    assert "successful in" in text
    (facts,) = map(json.loads, ask("list", "--json").splitlines())
    assert (facts["name"], facts["enabled"], facts["problem"]) == ("nightly", True, "")
    assert facts["last_outcome"].startswith("successful")


def test_options_of_all_commands_may_stand_behind_the_action(nightly, capsys):
    given = ["--settings", "tests.settings", "--traceback", "-v", "0", "--no-color"]
    given += ["--skip-checks", "--database", "default"]

    ManagementUtility(["manage.py", "schedules", "list", *given]).execute()

    assert "nightly" in capsys.readouterr().out


def test_it_says_that_there_is_none():
    assert "There are no schedules." in ask()


def test_it_shows_the_next_runs(nightly):
    lines = ask("next", "nightly", "-n", "3").splitlines()

    assert lines[0] == "nightly: At 02:30 every day (Asia/Kathmandu)"
    assert len(lines) == 4
    assert ask("next").count("02:30:00") == 5


def test_it_runs_one_now(nightly):
    text = ask("run", "nightly")

    job = Job.objects.get()
    assert str(job.pk) in text
    run_jobs()
    assert FinishedJob.objects.get().state == "SUCCESSFUL"


def test_it_switches_off_and_on(nightly):
    ask("disable", "nightly")
    assert Schedule.objects.get().due_at is None
    assert "disabled" in ask()

    ask("enable", "nightly")
    assert Schedule.objects.get().due_at > timezone.now()


@pytest.mark.parametrize("action", ["next", "run", "enable", "disable"])
def test_a_name_that_there_is_not_is_answered_with_the_nearest(nightly, action):
    with pytest.raises(CommandError, match=r"no schedule 'nightli'.*'nightly'"):
        ask(action, "nightli")


def test_it_writes_what_is_declared_and_tells_of_what_is_wrong(monkeypatch):
    monkeypatch.setattr(declarations, "declared", {})
    schedule(tasks.noop, Every(60), name="right")
    schedule("tests.tasks.gone", Every(60), name="wrong")

    with pytest.raises(CommandError, match=r"1 schedule could not.*\n.*'wrong'"):
        ask("sync")

    assert Schedule.objects.get(name="right").enabled
    declarations.declared.clear()
    assert "right: retired" in ask("sync")
    assert "There are no schedules." in ask()
    assert "retired" in ask("list", "--all")


def test_it_names_what_an_operator_has_changed(monkeypatch):
    monkeypatch.setattr(declarations, "declared", {})
    schedule(tasks.noop, Every(60), name="right")
    ask("sync")
    Schedule.objects.update(priority=7, runs=F("runs"))

    assert "differs from the code in priority" in ask("sync")
    assert "differs from the code in priority" in ask()
