"""Files that jobs attach: stored, handed out for a time, and deleted."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, storages
from django.test import override_settings
from django.utils import timezone

from dbqueue.models import FinishedJob, Job, JobFile
from dbqueue.progress import duties
from dbqueue.progress.files import _checked, _opened
from dbqueue.progress.tasks import prune_files
from dbqueue.testing import run_jobs
from tests.progress import tasks

pytestmark = pytest.mark.django_db


class Stubborn(FileSystemStorage):
    """Deletes nothing."""

    def delete(self, name):
        raise OSError("the storage does not answer")


@pytest.fixture(autouse=True)
def folder(tmp_path, settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "results": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "results"},
        },
        "stubborn": {
            "BACKEND": f"{__name__}.Stubborn",
            "OPTIONS": {"location": tmp_path / "results"},
        },
    }
    settings.DBQUEUE = {"PROGRESS": {"STORAGE": "results"}}
    return tmp_path / "results"


def stored(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def link(result, name):
    return f"/jobs/{result.public_token()}/files/{name}"


def make_old(seconds=0.0, **conditions):
    past = timezone.now() - timedelta(seconds=seconds + 1)
    JobFile.objects.filter(**conditions).update(expires_at=past, purge_after=past)


def content(answer):
    return b"".join(answer.streaming_content)


def run(task, *args, **kwargs):
    result = task.enqueue(*args, **kwargs)
    run_jobs(scheduled=True)
    result.refresh()
    assert result.state == "SUCCESSFUL", result.errors
    return result


def test_a_file_is_handed_out_to_save(client):
    result = run(tasks.attach, "Report 1 é.pdf", "hello")

    told = client.get(f"/jobs/{result.public_token()}/status.json").json()
    answer = client.get(told["result_url"])

    assert told["files"][0]["name"] == "Report 1 é.pdf"
    assert told["files"][0]["size"] == 5
    assert content(answer) == b"hello"
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"].startswith("attachment; filename*=utf-8''Rep")
    assert answer["Content-Length"] == "5"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "private, no-store"


@pytest.mark.django_db(transaction=True)
def test_an_async_task_attaches_as_well(client):
    result = run(tasks.aattach, "report.txt", "hello")

    assert content(client.get(link(result, "report.txt"))) == b"hello"


def test_files_and_paths_are_taken_and_left_open(client, tmp_path):
    source = tmp_path / "source.txt"
    source.write_text("hello")

    result = run(tasks.attach_path, str(source))

    for name in ("open.txt", "path.txt", "text.txt"):
        assert content(client.get(link(result, name))) == b"hello"


def test_an_attempt_that_is_run_again_replaces_its_file(client, folder):
    result = run(tasks.attach_at_each_attempt, "report.txt")

    told = client.get(f"/jobs/{result.public_token()}/status.json").json()
    assert len(told["files"]) == 1
    assert content(client.get(link(result, "report.txt"))) == b"attempt 3"
    prune_files("default")
    assert len(stored(folder)) == 1
    assert content(client.get(link(result, "report.txt"))) == b"attempt 3"


@pytest.mark.parametrize(
    "name", ["", " ", "..", "a/b", "a\\b", "a\nb", "x" * 256, None, "\udc80"]
)
def test_a_name_that_is_none_is_refused_in_words(name):
    with pytest.raises(ValueError, match="name"):
        _take(name, b"")


def _take(name, file):
    _opened(file, _checked(name))


def test_what_is_no_file_is_refused_in_words():
    with pytest.raises(TypeError, match=r"'a\.txt' is of type 'int'"):
        _take("a.txt", 5)


@pytest.mark.parametrize("file", [ContentFile(b"x"), File(ContentFile(b"x"), "y")])
def test_a_file_of_djangos_is_taken(file):
    _take("a.txt", file)


def test_a_worker_that_lost_its_claim_attaches_nothing(worker, folder):
    tasks.attach.enqueue("report.txt", "hello")
    (job,) = worker.claim()
    Job.objects.update(attempt=2)

    outcome = worker.run(job)

    assert outcome is None or outcome.state != "SUCCESSFUL"
    assert not stored(folder)
    assert not JobFile.objects.filter(state="LIVE").exists()


def test_a_worker_that_loses_its_claim_while_it_stores_leaves_nothing(
    worker, folder, monkeypatch
):
    result = tasks.attach.enqueue("report.txt", "hello")
    (job,) = worker.claim()
    save = FileSystemStorage.save

    def save_late(self, *args, **kwargs):
        name = save(self, *args, **kwargs)
        Job.objects.update(attempt=2)
        return name

    monkeypatch.setattr(FileSystemStorage, "save", save_late)

    assert worker.run(job) is None
    assert not stored(folder)
    assert JobFile.objects.get(job_id=result.id).state == "GONE"


class TestAfterItsTime:
    def test_a_file_is_gone_and_then_unknown(self, client, folder):
        result = run(tasks.attach, "report.txt", "hello", keep=3600)
        address = link(result, "report.txt")
        left = JobFile.objects.get().expires_at - timezone.now()
        assert timedelta(minutes=59) < left < timedelta(minutes=61)

        make_old()
        assert client.get(address).status_code == 410
        assert prune_files("default") == 1
        assert not stored(folder)
        assert client.get(address).status_code == 410
        assert "has been deleted" in client.get(address).content.decode()

        make_old()
        prune_files("default")
        assert client.get(address).status_code == 404
        assert not JobFile.objects.exists()

    def test_the_status_names_it_no_more(self, client):
        result = run(tasks.attach, "report.txt", "hello")
        make_old()

        told = client.get(f"/jobs/{result.public_token()}/status.json").json()

        assert told["files"] == []
        assert told["result_url"] is None

    def test_a_storage_that_does_not_answer_is_asked_again_an_hour_later(
        self, settings, folder, caplog
    ):
        settings.DBQUEUE = {"PROGRESS": {"STORAGE": "stubborn"}}
        run(tasks.attach, "report.txt", "hello")
        settings.DBQUEUE = {"PROGRESS": {"STORAGE": "results"}}
        run(tasks.attach, "other.txt", "hello")
        make_old()

        assert prune_files("default") == 1

        assert "Could not delete the file" in caplog.text
        left = JobFile.objects.get(name="report.txt").purge_after - timezone.now()
        assert timedelta(minutes=59) < left < timedelta(minutes=61)
        assert len(stored(folder)) == 1

    def test_a_storage_that_there_is_not_any_more_stops_nothing(self, settings):
        run(tasks.attach, "report.txt", "hello")
        JobFile.objects.update(storage="gone")
        run(tasks.attach, "other.txt", "hello")
        make_old()

        assert prune_files("default") == 1

    def test_a_file_that_somebody_removed_is_gone(self, client, folder):
        result = run(tasks.attach, "report.txt", "hello")
        stored(folder)[0].unlink()

        assert client.get(link(result, "report.txt")).status_code == 410

    def test_a_process_that_died_while_it_stored_leaves_nothing_for_ever(self, folder):
        name = storages["results"].save("dbqueue/x/half.txt", ContentFile(b"half"))
        now = timezone.now()
        JobFile.objects.create(
            job_id="0" * 32,
            attempt=1,
            state="PLANNED",
            name="half.txt",
            storage="results",
            stored_as=name,
            expires_at=now,
            purge_after=now,
        )

        assert prune_files("default") == 1
        assert not stored(folder)

    def test_a_worker_enqueues_the_pruning_when_something_is_due(self, folder):
        duties.enqueue_prune_if_due("default")
        assert not Job.objects.exists()
        run(tasks.attach, "report.txt", "hello")
        duties.enqueue_prune_if_due("default")
        assert not Job.objects.exists()
        make_old()

        duties.enqueue_prune_if_due("default")
        duties.enqueue_prune_if_due("default")

        assert Job.objects.count() == 1
        run_jobs()
        assert not stored(folder)
        assert FinishedJob.objects.filter(task=duties.PRUNE).get().result == 1

    def test_a_project_without_the_default_queue_prunes_in_its_own(self):
        run(tasks.attach, "report.txt", "hello")
        make_old()
        backend = {"BACKEND": "dbqueue.backend.DatabaseBackend", "QUEUES": ["b", "a"]}

        with override_settings(TASKS={"default": backend}):
            duties.enqueue_prune_if_due("default")

        assert Job.objects.get().queue_name == "a"


def test_a_job_in_a_test_backend_attaches_too(folder):
    backend = {"BACKEND": "dbqueue.testing.ImmediateBackend", "QUEUES": []}
    with override_settings(TASKS={"default": backend}):
        result = tasks.attach.enqueue("report.txt", "hello")

    assert result.state == "SUCCESSFUL", result.errors
    assert Path(stored(folder)[0]).read_text() == "hello"
