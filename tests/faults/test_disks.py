"""The disk of the worker's own host is full: of its log, temporary files and media."""

import os
import signal

import pytest

from dbqueue.jobs.moves import make_due
from dbqueue.models import Upload, UploadChunk
from dbqueue.uploads import save_file, save_image
from tests.faults.disk import small_disk
from tests.gallery.models import Profile
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    finished,
    scaled,
    unfinished,
    wait_until,
    wait_until_empty,
)
from tests.uploads.test_images import an_image, picture
from tests.uploads.test_uploads import a_file

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

LETTER = b"Dear all" * 30_000


@pytest.fixture
def disk(tmp_path, settings):
    with small_disk(tmp_path, mebibytes=8) as disk:
        for name in ("media", "temporary"):
            (disk.path / name).mkdir()
        settings.MEDIA_ROOT = str(disk.path / "media")
        yield disk


@pytest.fixture
def run_there(disk, run_worker, settings):
    """Return a function that starts a worker which writes all it writes there."""

    def run(*arguments):
        return run_worker(
            *arguments,
            *("--health-file", disk.path / "health"),
            settings={"MEDIA_ROOT": settings.MEDIA_ROOT},
            logs=disk.path,
            TMPDIR=disk.path / "temporary",
        )

    return run


def test_a_full_disk_of_the_worker_costs_no_job_and_no_upload(
    disk, run_there, jobs, effects
):
    worker = run_there("--processes", 2)
    worker.wait_until_working(2)
    disk.fill()
    profile = Profile.objects.create()
    handles = [
        save_file(a_file(LETTER), profile),
        save_image(an_image(picture((900, 600))), profile),
    ]
    # So many that a claim of them keeps more aside than SQLite has room for in memory.
    count = scaled(1000, 2000)
    jobs.many(tasks.note, [(i,) for i in range(count)])

    # Its plain jobs run, and those that need room are tried again.
    effects.wait_for("ended", times=count)
    # And are recorded: what a killed child has not recorded yet runs again.
    wait_until(lambda: finished().count() == count, "their ends are recorded")
    wait_until(
        lambda: unfinished(failures__gt=0).count() == len(handles), "both have failed"
    )
    # A child that is replaced meanwhile has a log and a health file, too.
    os.kill(worker.children()[0], signal.SIGKILL)
    jobs.one(tasks.note, "replaced")
    effects.wait_for("ended", "replaced")
    assert set(Upload.objects.values_list("state", flat=True)) == {"STORED"}
    assert UploadChunk.objects.exists()
    disk.make_room()
    make_due("default")

    wait_until_empty(worker)

    for handle in handles:
        handle.refresh()
        assert handle.state == "DONE"
    profile.refresh_from_db()
    assert profile.letter.read() == LETTER
    assert profile.photo_width == 900
    jobs.drained(worker)
    assert effects.counts() == dict.fromkeys([*range(count), "replaced"], 1)
    assert not list((disk.path / "temporary").iterdir())
    assert worker.stop() == 0
