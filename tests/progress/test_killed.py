"""A worker that dies in the middle of a file: nothing half, and nothing forgotten."""

import pytest

from dbqueue.models import FinishedJob, JobFile
from dbqueue.progress.tasks import prune_files
from tests.progress import tasks
from tests.support.processes import on_demand, send, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)
TEXT = "all of it " * 1000
KILL = 9


@pytest.fixture
def folder(tmp_path, settings):
    backend = {
        "BACKEND": "tests.progress.storages.Stuck",
        "OPTIONS": {"location": str(tmp_path / "results")},
    }
    settings.STORAGES = {**settings.STORAGES, "results": backend}
    settings.DBQUEUE = {"PROGRESS": {"STORAGE": "results"}}
    return tmp_path / "results"


def files(folder):
    return {path.name: path for path in folder.rglob("*.txt")}


@pytest.mark.parametrize("who", ["child", pytest.param("all", marks=on_demand)])
def test_a_worker_that_is_killed_while_it_stores_leaves_no_half_file(
    run_worker, client, settings, folder, who
):
    given = {"STORAGES": settings.STORAGES, "DBQUEUE": settings.DBQUEUE}
    result = tasks.attach_two.enqueue(TEXT)
    address = f"/jobs/{result.public_token()}"
    worker = run_worker("--processes", 1, settings=given)
    wait_until(lambda: files(folder).get("second.txt"), "half of it is stored")

    # It stands still, and what is done is known: the first file, and how far it is.
    told = client.get(f"{address}/status.json").json()
    assert [file["name"] for file in told["files"]] == ["first.txt"]
    assert client.get(f"{address}/files/second.txt").status_code == 404
    for pid in worker.children() if who == "child" else worker.family():
        send(pid, KILL)
    folder.with_name("go").touch()
    if who == "all":
        run_worker("--processes", 1, settings=given)

    wait_until(lambda: FinishedJob.objects.exists(), "the job has ended")
    for name in ("first.txt", "second.txt"):
        answer = client.get(f"{address}/files/{name}")
        assert b"".join(answer.streaming_content).decode() == TEXT
    prune_files("default")
    stored = list(folder.rglob("*.txt"))
    assert sorted(path.name for path in stored) == ["first.txt", "second.txt"]
    assert {path.read_text() for path in stored} == {TEXT}
    assert set(JobFile.objects.values_list("state")) == {("LIVE",), ("GONE",)}
