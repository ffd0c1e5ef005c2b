"""manage.py jobs"""

import json
from datetime import timedelta
from io import StringIO
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from dbqueue import enqueue_many, task
from dbqueue.models import FinishedJob, Job
from dbqueue.testing import run_jobs
from tests import tasks
from tests.commands.test_commands import run

pytestmark = pytest.mark.django_db


@task(max_attempts=1, queue_name="mail")
def fail_once(message="no luck"):
    raise LookupError(message)


@pytest.fixture
def failed():
    result = fail_once.enqueue("no such person")
    run_jobs()
    return result


def test_a_job_is_shown_with_its_traceback(failed):
    text = run("jobs", "show", failed.id)

    lines = text.splitlines()
    assert lines[0] == f"Job {failed.id}"
    assert "  state: FAILED" in lines
    assert "  queue_name: mail" in lines
    assert '  args: ["no such person"]' in lines
    assert "  exception: builtins.LookupError" in lines
    assert "  attempt 1: failed" in lines
    assert "    message: no such person" in lines
    assert any("raise LookupError(message)" in line for line in lines)
    assert "not running" not in text


def test_a_job_that_waits_is_shown_with_the_reason():
    result = tasks.noop.enqueue()

    assert "not running: No live worker takes the queue" in run(
        "jobs", "show", result.id
    )
    told = json.loads(run("jobs", "show", result.id, "--json"))
    assert told["id"] == result.id
    assert told["reason"].startswith("No live worker")


def test_jobs_that_match_are_listed_the_newest_first(failed):
    first, second = enqueue_many(tasks.noop, [(), ()])

    titles, *lines = run("jobs", "list").splitlines()

    assert titles.split() == [
        *("id", "state", "queue", "task", "attempts", "failures", "since", "exception")
    ]
    assert [line.split()[0] for line in lines] == [second.id, first.id, failed.id]
    # How many attempts it might have had tells nothing of a job that is over.
    assert [line.split()[4:6] for line in lines] == [*[["0", "0"]] * 2, ["1", "1"]]
    for options in (
        ["--state", "failed"],
        ["--queue", "mail"],
        ["--task", fail_once.module_path],
        ["--exception", "LookupError"],
        ["--filter", "failures__gt=0", "--filter", "priority=0"],
    ):
        (line,) = run("jobs", "list", "--json", *options).splitlines()
        assert json.loads(line)["id"] == failed.id
    assert len(run("jobs", "list", "--limit", "2").splitlines()) == 3
    assert run("jobs", "list", "--queue", "none") == "No job matches.\n"


def test_jobs_are_moved_by_their_ids(failed):
    waiting = tasks.noop.using(run_after=timedelta(hours=1)).enqueue()

    assert run("jobs", "retry", failed.id) == "1 retried.\n"
    assert run("jobs", "run-now", waiting.id) == "1 made due.\n"
    run("jobs", "move-to", failed.id, waiting.id, "--to", "reports")
    run("jobs", "set-priority", failed.id, "--priority", "-7")
    run("jobs", "reschedule", failed.id, "--at", "2h")
    run("jobs", "cancel", waiting.id, "--reason", "a mistake", "--by", "ada")

    moved = Job.objects.get()
    assert (moved.queue_name, moved.priority, moved.state) == (
        "reports",
        -7,
        "SCHEDULED",
    )
    assert moved.run_after > timezone.now() + timedelta(hours=1)
    cancelled = FinishedJob.objects.get()
    assert cancelled.attempt_log[0]["why"] == "a mistake"
    shown = run("jobs", "show", waiting.id)
    assert "by: ada" in shown
    assert "why: a mistake" in shown
    assert run("jobs", "discard", waiting.id) == "1 discarded.\n"
    assert not FinishedJob.objects.exists()


def test_jobs_are_moved_by_what_they_have_in_common():
    enqueue_many(fail_once, [()] * 3)
    tasks.noop.enqueue()
    run_jobs()
    match = ["--exception", "LookupError", "--queue", "mail"]

    assert run("jobs", "retry", *match, "--dry-run") == (
        "3 jobs would be met by retry.\n"
    )
    text = run("jobs", "retry", *match, "--batch", "2", "--verbosity", "2")

    assert text.splitlines() == ["2 retried …", "3 retried …", "3 retried."]
    assert run("jobs", "cancel", "--all", "--verbosity", "0") == ""
    assert not Job.objects.exists()


def test_a_job_is_retried_with_other_arguments(failed):
    text = run("jobs", "retry", failed.id, "--args", '["Ada"]', "--kwargs", "{}")

    new = Job.objects.get()
    assert new.args == ["Ada"]
    assert str(new.pk) in text


def test_jobs_that_are_skipped_are_an_error_and_the_others_are_moved(failed):
    with pytest.raises(CommandError, match=r"1 retried, 1 skipped \(1 unknown\)"):
        run("jobs", "retry", failed.id, str(UUID(int=7)))

    assert Job.objects.get().state == "READY"


def test_records_are_deleted_by_conditions_only_after_a_question(failed, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda question: "no")
    with pytest.raises(CommandError, match="Nothing was deleted"):
        run("jobs", "discard", "--queue", "mail")
    assert FinishedJob.objects.exists()

    run("jobs", "discard", "--queue", "mail", "--no-input")

    assert not FinishedJob.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["retry"], "retry which jobs"),
        (["show"], "show which jobs"),
        (["show", str(UUID(int=7))], "No job has the id"),
        (["retry", "abc"], "'abc' is not a job id"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["retry", str(UUID(int=7)), "--queue", "mail"], "either ids or conditions"),
        (["move-to", "--all"], "move-to needs --to"),
        (["set-priority", "--all"], "set-priority needs --priority"),
        (["set-priority", "--all", "--priority", "101"], "between -100 and 100"),
        (["reschedule", "--all", "--at", "soon"], "'soon' is neither a moment"),
        (["move-to", "--all", "--to", "a,b"], "must be printable"),
        (["list", "--filter", "queue=mail"], "Jobs have no column 'queue'"),
        (["list", "--filter", "mail"], "'mail' is not like priority=5"),
        (["list", "--filter", "priority=high"], "expected a number"),
        (["list", "--filter", "enqueued_at__lt=then"], "invalid format"),
        (["retry", str(UUID(int=7)), "--args", "{}"], "is not a JSON list"),
        (["retry", "--all", "--args", "[]"], "one job, chosen by its id"),
        (["list", "--database", "defualt"], "Did you mean 'default'"),
        (["list", "--database", "other", "--backend", "default"], "not both"),
    ],
)
def test_mistakes_are_answered_in_words(arguments, words):
    with pytest.raises(CommandError, match=words):
        call_command("jobs", *arguments, stdout=StringIO())
