"""Uploads while workers die at every stage, and while requests come at once."""

import json
import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F

from dbqueue.models import FinishedJob, Upload, UploadArtifact, UploadChunk
from dbqueue.uploads import save_file, save_image
from dbqueue.uploads.sweep.cleanup import Sweep
from tests.gallery.models import Profile
from tests.imaging.test_sandbox import children
from tests.support.processes import PATIENCE, scaled, wait_until, wait_until_empty
from tests.support.workers import together
from tests.uploads.test_images import an_image, picture
from tests.uploads.test_uploads import a_file, stored_files

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

STAGES = ("claimed", "stored", "written", "committed")


@pytest.fixture
def run_mortal_worker(run_worker, tmp_path, settings):
    """Return a function that starts a worker which dies so often at each stage."""
    settings.MEDIA_ROOT = str(tmp_path / "media")
    (tmp_path / "deaths").mkdir()

    def run(deaths):
        return run_worker(
            "--processes",
            2,
            settings={
                "MEDIA_ROOT": settings.MEDIA_ROOT,
                "STORAGES": {
                    "default": {"BACKEND": "tests.gallery.deaths.DeadlyStorage"}
                },
            },
            DBQUEUE_TEST_DEATHS=json.dumps(deaths),
            DBQUEUE_TEST_DEATHS_AT=tmp_path / "deaths",
        )

    return run


def sweep_when_all_delays_are_over():
    UploadArtifact.objects.update(purge_after=F("purge_after") - timedelta(days=1))
    Upload.objects.update(finished_at=F("finished_at") - timedelta(days=1))
    while Sweep("default").is_due():
        Sweep("default").run()


def test_every_upload_is_saved_once_though_workers_die_at_every_stage(
    run_mortal_worker, tmp_path
):
    count, deaths = scaled(20, 200), scaled(1, 10)
    profiles = Profile.objects.bulk_create(Profile(name=str(i)) for i in range(count))
    for profile in profiles:
        save_file(a_file(profile.name.encode() * 100_000), profile)

    worker = run_mortal_worker(dict.fromkeys(STAGES, deaths))
    wait_until_empty(worker, seconds=2 * PATIENCE)

    assert len(list((tmp_path / "deaths").iterdir())) == deaths * len(STAGES)
    for profile in Profile.objects.all():
        assert profile.letter.read() == profile.name.encode() * 100_000
    assert set(Upload.objects.values_list("state", flat=True)) == {"DONE"}
    assert FinishedJob.objects.filter(state="SUCCESSFUL").count() == count
    assert not UploadChunk.objects.exists()
    sweep_when_all_delays_are_over()
    names = set(Profile.objects.values_list("letter", flat=True))
    assert stored_files(default_storage) == names
    live = UploadArtifact.objects.filter(state="LIVE")
    assert set(live.values_list("name", flat=True)) == names
    assert UploadArtifact.objects.count() == count


def test_a_picture_is_saved_though_its_worker_dies_while_it_is_decoded(
    run_mortal_worker,
):
    profile = Profile.objects.create()
    handle = save_image(an_image(picture((6000, 4000), format="PNG")), profile)
    worker = run_mortal_worker({})
    child, decoder = wait_until(lambda: decoding(worker), "a picture is decoded")

    os.kill(child, signal.SIGKILL)
    wait_until_empty(worker)

    handle.refresh()
    profile.refresh_from_db()
    assert (handle.state, profile.photo_width) == ("DONE", 6000)
    assert FinishedJob.objects.get().attempt == 2
    wait_until(lambda: not Path(f"/proc/{decoder}").exists(), "the decoder is gone")
    worker.stop()
    worker.wait_until_gone()
    sweep_when_all_delays_are_over()
    assert stored_files(default_storage) == {profile.photo.name}


def decoding(worker):
    """Return the pids of a worker's child and of what decodes a picture for it."""
    for child in worker.children():
        for zygote in children(child):
            for decoder in children(zygote):
                return child, decoder
    return None


def test_the_last_of_many_uploads_at_once_wins(run_mortal_worker):
    """Each request saves its own mark beside its file: the two always agree."""
    profile = Profile.objects.create()

    def upload(number):
        def request():
            for round in range(5):
                mark = f"{number}-{round}"
                with transaction.atomic():
                    mine = Profile.objects.select_for_update().get(pk=profile.pk)
                    mine.name = mark
                    mine.save(update_fields=["name"])
                    save_file(a_file(mark.encode()), mine)

        return request

    worker = run_mortal_worker({})
    together(*(upload(number) for number in range(4)))
    wait_until_empty(worker)

    profile.refresh_from_db()
    assert profile.letter.read().decode() == profile.name
    states = list(Upload.objects.order_by("pk").values_list("state", flat=True))
    assert set(states) <= {"DONE", "SUPERSEDED"}
    assert not UploadChunk.objects.exists()
    sweep_when_all_delays_are_over()
    assert stored_files(default_storage) == {profile.letter.name}


def test_requests_that_do_not_lock_the_row_do_not_deadlock_with_the_worker(
    run_mortal_worker,
):
    """In either order of saving the row and the file, on all rows at once."""
    profiles = [Profile.objects.create(name=str(i)) for i in range(3)]

    def upload(first):
        def request():
            for round in range(10):
                for profile in profiles:
                    with transaction.atomic():
                        if first == "row":
                            Profile.objects.filter(pk=profile.pk).update(visits=round)
                        save_file(a_file(str(round).encode()), profile)
                        if first == "file":
                            Profile.objects.filter(pk=profile.pk).update(visits=round)

        return request

    worker = run_mortal_worker({})
    together(upload("row"), upload("file"))
    wait_until_empty(worker)

    for profile in profiles:
        profile.refresh_from_db()
        assert profile.letter.read() == b"9"
    # SQLite has a word of its own for two that wait for each other.
    assert "deadlock" not in worker.output
    assert "database is locked" not in worker.output
