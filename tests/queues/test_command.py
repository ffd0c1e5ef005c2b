"""manage.py queues"""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from dbqueue import enqueue, queues
from dbqueue.models import Pause
from tests import tasks
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments):
    out = StringIO()
    call_command("queues", *arguments, stdout=out)
    return out.getvalue()


def test_the_queue_for_operators_stays_open():
    with pytest.raises(CommandError, match="runworker --exclude operations"):
        run("pause", "mail", "operations")

    assert not Pause.objects.exists()


def test_it_pauses_and_resumes_several():
    paused = run("pause", "mail", "pdf", "--reason", "They move", "--by", "ada")

    assert paused.count("Paused: ") == 2
    assert "Paused: mail (since 2" in paused
    assert " by ada: They move)" in paused
    assert {pause.key for pause in queues.paused()} == {"queue:mail", "queue:pdf"}
    assert run("resume", "mail", "other").splitlines()[1] == "Not paused: other"
    assert [pause.key for pause in queues.paused()] == ["queue:pdf"]


def test_it_notes_the_user_of_the_shell(monkeypatch):
    monkeypatch.setenv("LOGNAME", "grace")

    run("pause", "mail")

    assert Pause.objects.get().paused_by == "grace"


def test_what_is_paused_already_is_said_and_stays():
    run("pause", "mail", "--by", "ada")

    again = run("pause", "mail", "--by", "bob")

    assert again.startswith("Paused already: mail (since ")
    assert "by ada" in again


def test_one_wrong_name_pauses_none():
    with pytest.raises(CommandError, match="no such task"):
        run("pause", "mail", "task:tests.tasks.nope")

    assert not Pause.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pause"], "Name what to pause"),
        (["resume"], "Name what to resume"),
        (["list", "mail"], "takes no names"),
        (["pause", "limit:nope"], "no limit 'nope'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(CommandError, match=words):
        run(*arguments)


@override_settings(DBQUEUE={"QUEUES": {"mail": {"concurrency": 2}}})
def test_the_list_shows_limits_counts_and_pauses():
    enqueue(tasks.noop.using(queue_name="mail"))
    enqueue(tasks.noop.using(queue_name="pdf"))
    HandWorker("pdf").claim()
    run("pause", "mail", "task:tests.tasks.add", "--by", "ada", "--reason", "Busy")

    facts = json.loads(run("list", "--json"))
    text = run()

    mail, pdf, task = facts
    assert mail["paused"].endswith("by ada: Busy")
    assert (mail["waiting"], mail["running"], mail["limit"]) == (1, 0, 2)
    assert pdf == {
        **{"queue": "pdf", "waiting": 0, "running": 1},
        **{"limit": None, "paused": None},
    }
    assert task["queue"] == "task:tests.tasks.add"
    assert text.splitlines()[0].split() == [
        *("queue", "waiting", "running", "limit", "paused")
    ]
    assert "by ada: Busy" in text
