"""Options of tasks that name none themselves: by queue, by app, by DBQUEUE."""

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from dbqueue import enqueue, enqueue_many
from dbqueue.models import FinishedJob, Job
from dbqueue.testing import run_jobs
from tests import tasks
from tests.gallery.tasks import fail_here
from tests.support.workers import drain

pytestmark = pytest.mark.django_db(databases="__all__")

BY_APP = {"max_attempts": 2, "timeout": 0.2, "backoff": 3}
BY_QUEUE = {"max_attempts": 7, "backoff": [40]}


@pytest.fixture
def given(settings):
    """Return a function that gives the defaults of an entry of TASKS."""
    settings.DBQUEUE = {"MAX_ATTEMPTS": 9}

    def given(defaults, backend="dbqueue.backend.DatabaseBackend", queues=()):
        options = {"defaults": defaults}
        entry = {"BACKEND": backend, "QUEUES": list(queues), "OPTIONS": options}
        settings.TASKS = {"default": entry}

    return given


@pytest.mark.parametrize(
    ("task", "attempts"),
    [
        (tasks.noop, 9),
        (fail_here, 2),
        (fail_here.using(queue_name="mail"), 7),
        (tasks.noop.using(queue_name="mail"), 7),
        (tasks.fail.using(queue_name="mail"), 2),  # it says so itself
        (tasks.bare, 9),
    ],
)
def test_attempts_come_from_the_task_its_queue_its_app_and_dbqueue(
    given, task, attempts
):
    given({"queue:mail": BY_QUEUE, "app:gallery": BY_APP})

    enqueue(task)
    enqueue_many(task, [()])

    found = set(Job.objects.values_list("max_attempts", flat=True))
    assert found == {attempts}


def test_a_retry_waits_as_the_place_says(given):
    given({"queue:mail": BY_QUEUE, "app:gallery": BY_APP})
    enqueue(fail_here)
    enqueue(fail_here.using(queue_name="mail"))

    run_jobs()

    delays = {
        job.queue_name: round((job.run_after - job.last_attempted_at).total_seconds())
        for job in Job.objects.all()
    }
    assert delays == {"default": 3, "mail": 40}


@pytest.mark.django_db(transaction=True)
def test_a_worker_keeps_to_the_timeout_of_the_place(given):
    given({"app:gallery": BY_APP | {"max_attempts": 1}})
    result = enqueue(fail_here, seconds=600)
    enqueue(tasks.noop)

    drain()

    (entry,) = FinishedJob.objects.get(pk=result.id).attempt_log
    assert (entry["reason"], entry["message"]) == (
        "timeout",
        "The job ran longer than 0.2 s.",
    )


def test_the_immediate_backend_knows_them_too(given):
    given({"app:gallery": BY_APP}, "dbqueue.testing.ImmediateBackend")

    result = enqueue(fail_here)

    assert len(result.errors) == 2


WRONG = [
    ([1], "is [1]; it must be a dict, of places such as 'queue:mail'."),
    ({"mail": {}}, "has no place 'mail': 'queue:NAME' or 'app:LABEL'."),
    ({"queue:mial": {}}, "['queue:mial'] names no queue. Did you mean 'queue:mail'?"),
    ({"app:galery": {}}, "['app:galery'] names no app. Did you mean 'app:gallery'?"),
    ({"app:tests.gallery": {}}, "names no app. Did you mean 'app:gallery'?"),
    ({"queue:mail": 3}, "['queue:mail'] is 3; it must be a dict with any of"),
    (
        {"queue:mail": {"max_atempts": 3}},
        "has no option 'max_atempts'. Did you mean 'max_attempts'?",
    ),
    ({"queue:mail": {"priority": 3}}, "has no option 'priority'."),
    ({"queue:mail": {"max_attempts": 0}}, "['queue:mail']: max_attempts=0 must be"),
    ({"app:gallery": {"timeout": "5"}}, "['app:gallery']: timeout='5' must be"),
    ({"app:gallery": {"backoff": -1}}, "['app:gallery']: backoff=-1 must be"),
]


@pytest.mark.parametrize(("defaults", "words"), WRONG)
def test_a_mistake_is_told_by_the_check_and_at_the_enqueue(given, defaults, words):
    given(defaults, queues=["default", "mail"])

    found = [message for message in run_checks() if message.id == "dbqueue.E006"]

    assert len(found) == 1
    assert found[0].msg.startswith("TASKS['default']['OPTIONS']['defaults']")
    assert words in found[0].msg
    with pytest.raises(ImproperlyConfigured) as refused:
        enqueue(tasks.noop)
    assert words in str(refused.value)


def test_what_is_right_passes_the_checks(given):
    given({"queue:any": BY_QUEUE, "app:gallery": BY_APP, "app:auth": {}})

    call_command("check")
