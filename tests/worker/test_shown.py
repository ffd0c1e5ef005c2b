"""What operators are shown after a fault is what is there, until it is over."""

import os
import signal

import pytest
from django.core.management import call_command

from dbqueue import enqueue, status
from dbqueue.models import Job
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    SHORT,
    unfinished,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


def listed(client, model, **conditions):
    """Return the ids in a list of the admin, in its order."""
    response = client.get(f"/admin/dbqueue/{model}/", conditions)
    return [row.pk for row in response.context["cl"].result_list]


def page_of_workers(client):
    return client.get("/admin/dbqueue/worker/").text


def told(capsys):
    call_command("queuestatus")
    return capsys.readouterr().out


def test_the_lists_tell_of_a_dead_worker_until_its_lease_is_over_and_then_of_its_heir(
    run_worker, effects, tmp_path, admin_client
):
    leave = tmp_path / "leave"
    enqueue(tasks.work_until, "job", str(leave))
    dead = run_worker("--worker-name", "dead", settings=SHORT)
    effects.wait_for("began")
    dead.kill_all()

    # What it held is shown as running, as nobody can know better yet.
    assert "dead" in page_of_workers(admin_client)
    assert len(listed(admin_client, "job", state="RUNNING")) == 1
    (worker,) = status.workers("default")
    assert worker.runs == {tasks.work_until.module_path: 1}
    run_worker("--worker-name", "heir", settings=SHORT)
    effects.wait_for("began", times=2)

    (heir,) = status.workers("default")
    assert heir.name == "heir"
    assert "heir" in page_of_workers(admin_client)
    assert sum(heir.runs.values()) == 1
    (id,) = listed(admin_client, "job", state="RUNNING")
    text = admin_client.get(f"/admin/dbqueue/job/{id}/change/").text
    assert "lost" in text
    assert "heir" in text or heir.id in text
    (queue,) = status.queues("default")
    assert (queue.running, queue.ready) == (1, 0)
    leave.touch()
    wait_until_empty()
    assert status.queues("default") == []


def test_a_job_that_is_to_be_retried_is_shown_with_its_failure_and_when_it_is_due(
    run_worker, effects, admin_client, capsys
):
    job = enqueue(tasks.fail_for_long, "fails")
    run_worker()
    wait_until(lambda: unfinished(failures=1, state="SCHEDULED").exists(), "it failed")

    row = Job.objects.get()
    assert listed(admin_client, "job", state="SCHEDULED") == [row.pk]
    page = admin_client.get(f"/admin/dbqueue/job/{job.id}/change/").text
    assert "1 of 3" in admin_client.get("/admin/dbqueue/job/").text
    assert "ValueError" in page
    assert status.reason(row).startswith("It is tried again at ")
    (queue,) = status.queues("default")
    assert (queue.scheduled, queue.running, queue.ready) == (1, 0, 0)
    assert "1" in told(capsys)


def test_a_child_that_was_killed_is_not_listed_when_its_successor_works(
    run_worker, effects, tmp_path, admin_client
):
    leave = tmp_path / "leave"
    job = enqueue(tasks.work_until, "job", str(leave))
    worker = run_worker()
    (line,) = effects.wait_for("began")

    os.kill(line["pid"], signal.SIGKILL)

    effects.wait_for("began", times=2)
    (shown,) = status.workers("default")
    assert shown.pid != line["pid"]
    assert shown.pid in worker.children()
    assert str(shown.pid) in page_of_workers(admin_client)
    leave.touch()
    page = f"/admin/dbqueue/finishedjob/{wait_until_finished(job).pk}/change/"
    assert "lost" in admin_client.get(page).text
