"""`--queues mail:2,*`: queues with slots of their own in each process."""

import pytest
from django.core.management.base import CommandError

from dbqueue import enqueue, enqueue_many, status
from dbqueue.backend import DatabaseBackend
from dbqueue.dialects.scan import Scan
from dbqueue.management.backends import choose_backend
from dbqueue.management.commands.runworker import Command, _options
from dbqueue.worker.options import WorkerOptions
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    NEVER,
    finished,
    unfinished,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)
OTHER = tasks.work_until.using(queue_name="other")
MAIL = tasks.work_until.using(queue_name="mail")


def options(queues, slots, exclude=()):
    return WorkerOptions(
        database="default",
        sender=DatabaseBackend,
        queues=queues,
        slots=slots,
        exclude=exclude,
    )


def test_async_jobs_begin_while_all_threads_are_busy(run_worker, effects, tmp_path):
    leave = tmp_path / "leave"
    enqueue_many(tasks.work_until, [(i, str(leave)) for i in range(3)])
    run_worker("--threads", 1, "--queues", "other:5,*")
    effects.wait_for("began")

    quick = enqueue(tasks.awork.using(queue_name="other"), "quick", 0)

    assert wait_until_finished(quick).state == "SUCCESSFUL"
    assert not finished(task__endswith="work_until").exists()
    leave.touch()
    wait_until_empty()


def test_no_more_than_its_slots_and_none_of_others_run_there(
    run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    enqueue_many(MAIL, [(f"mail{i}", str(leave)) for i in range(5)])
    enqueue_many(tasks.work_until, [(f"plain{i}", str(leave)) for i in range(5)])
    run_worker("--threads", 1, "--queues", "mail:2,*")

    effects.wait_for("began", times=3)

    wait_until(lambda: status.workers("default"), "it is alive")
    began = sorted(key[:4] for key in effects.keys("began"))
    assert began == ["mail", "mail", "plai"]
    assert unfinished(state="RUNNING", queue_name="mail").count() == 2
    leave.touch()
    wait_until_empty()
    assert len(effects.all("ended")) == 10


def test_a_worker_with_nothing_but_slots_drains(run_worker, effects):
    enqueue_many(tasks.note_in_other, [(i,) for i in range(30)])
    worker = run_worker("--queues", "other:2", "--drain")

    assert worker.wait() == 0

    assert effects.counts() == dict.fromkeys(range(30), 1)


def test_jobs_in_slots_are_cancelled_and_released_as_others(
    run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    stuck = enqueue(tasks.block_for_ever.using(queue_name="other"), "stuck")
    beside = enqueue(tasks.work_until, "beside", str(leave))
    worker = run_worker("--queues", "other:1,*")
    effects.wait_for("began", times=2)

    stuck.cancel()

    assert wait_until_finished(stuck).state == "CANCELLED"
    leave.touch()
    assert wait_until_finished(beside).failures == 0
    assert worker.stop() == 0


def test_a_stopping_worker_releases_what_runs_in_slots(run_worker, effects):
    job = enqueue(tasks.work_once.using(queue_name="other"), "long", NEVER)
    worker = run_worker("--queues", "other:1,*", settings={"DBQUEUE": {"GRACE": 0.0}})
    effects.wait_for("began", "long")

    worker.stop()

    row = unfinished(pk=job.id).get()
    assert (row.state, row.failures) == ("READY", 0)


def test_a_queue_is_served_by_one_part_alone():
    given = options([["mail"], ["m*"], ["*"]], [2, 1, None])
    (mail, two), (rest_of_m, one) = given.sections()
    shared = given.shared()

    assert (two, one) == (2, 1)
    ranks = [
        [scan.rank(queue) is not None for scan in (mail, rest_of_m, shared)]
        for queue in ("mail", "more", "other")
    ]
    assert ranks == [[True, False, False], [False, True, False], [False, False, True]]
    assert given.places == given.threads + given.async_concurrency + 3


@pytest.mark.parametrize(
    ("queues", "slots", "text"),
    [
        ([["mail"], ["*"]], [2], "mail:2,*"),
        ([["tenant:7"], ["a", "b"]], [], "tenant:7:,a|b"),
        ([["tenant:7"]], [3], "tenant:7:3"),
    ],
)
def test_what_a_worker_says_of_its_queues_is_read_back(queues, slots, text):
    described = options(queues, slots, exclude=["x"]).described()

    assert described == f"{text},-x"
    assert Scan.of(described).groups == [list(group) for group in queues]


@pytest.fixture
def parsed(settings):
    """Return a function that parses options, in a project with some queues."""
    path = "dbqueue.backend.DatabaseBackend"
    queues = ["mail", "pdf", "tenant:7"]
    settings.TASKS = {"default": {"BACKEND": path, "QUEUES": queues}}
    parser = Command().create_parser("manage.py", "runworker")

    def parse(*arguments):
        backend = choose_backend(None)
        return _options(backend, vars(parser.parse_args(arguments)))

    return parse


def test_the_command_takes_slots(parsed):
    given = parsed("--queues", "mail:2,tenant:7,pdf")

    assert given.queues == (("mail",), ("tenant:7",), ("pdf",))
    assert list(given.slots) == [2, None, None]


@pytest.mark.parametrize(
    ("queues", "words"),
    [
        ("mail:0", "no slots"),
        (":2", "no slots"),
        ("mial:2", "Did you mean 'mail'"),
        ("mail,*:2", "has no places"),
    ],
)
def test_slots_that_make_no_sense_are_refused(queues, words, parsed):
    with pytest.raises(CommandError, match=words):
        parsed("--queues", queues)
