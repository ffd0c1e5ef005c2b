"""An operator presses a button at the very moment at which an upload ends."""

import re
import threading
from collections import Counter

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.storage import FileSystemStorage, default_storage
from django.test import Client
from django.urls import reverse

from dbqueue.models import FinishedJob, Job, Upload, UploadArtifact, UploadChunk
from dbqueue.testing import run_jobs
from dbqueue.uploads import endings, save_file
from tests.gallery.models import Profile
from tests.support.processes import scaled
from tests.support.workers import together
from tests.uploads.test_faults import sweep_when_all_delays_are_over
from tests.uploads.test_uploads import a_file, stored_files

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = scaled(6, 60)


class TellingStorage(FileSystemStorage):
    """Tells when a file is stored: the next thing that happens is the promotion."""

    stored = threading.Event()
    go_on = threading.Event()

    def _save(self, name, content):
        saved = super()._save(name, content)
        self.stored.set()
        assert self.go_on.wait(60)
        return saved


@pytest.fixture(autouse=True)
def storage(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)
    backend = f"{__name__}.{TellingStorage.__qualname__}"
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": backend}}
    TellingStorage.stored.clear()
    TellingStorage.go_on.set()


@pytest.fixture
def press(admin_user):
    """Return a function that presses a button and returns what it says."""

    def press(deed, upload):
        client = Client()
        client.force_login(admin_user)
        address = reverse(f"admin:dbqueue_upload_{deed}", args=[upload.pk])
        page = client.post(address, follow=True).text
        # Not by its context: the client notes what is rendered in any thread.
        (told,) = re.findall(r'<li class="(?:success|warning)">(.*?)</li>', page)
        return told

    return press


def a_waiting_upload():
    profile = Profile.objects.create()
    save_file(a_file(str(profile.pk).encode()), profile)
    return profile, Upload.objects.latest("pk")


def test_an_upload_that_is_discarded_as_it_ends_is_one_of_both(press):
    won = Counter()
    for round in range(ROUNDS):
        profile, upload = a_waiting_upload()
        TellingStorage.stored.clear()
        if round % 2:  # else they race
            TellingStorage.go_on.clear()

        def discard(upload=upload):
            TellingStorage.stored.wait()
            told = press("discard", upload)
            TellingStorage.go_on.set()
            return told

        told, _ = together(discard, run_jobs)

        upload.refresh_from_db()
        profile.refresh_from_db()
        won[upload.state] += 1
        assert "discarded" in told if upload.state == "CANCELLED" else "left" in told
        assert bool(profile.letter) == (upload.state == "DONE")
    assert set(won) <= {"DONE", "CANCELLED"}
    assert won["CANCELLED"] >= ROUNDS // 2
    assert FinishedJob.objects.filter(state="SUCCESSFUL").count() == ROUNDS
    assert LogEntry.objects.count() == won["CANCELLED"]
    assert not UploadChunk.objects.exists()
    sweep_when_all_delays_are_over()
    names = set(Profile.objects.exclude(letter="").values_list("letter", flat=True))
    assert stored_files(default_storage) == names
    assert UploadArtifact.objects.count() == len(names) == won["DONE"]


def test_a_failed_upload_that_several_operators_retry_gets_one_job(press):
    for _ in range(ROUNDS):
        profile, upload = a_waiting_upload()
        endings.end(upload, "FAILED", code="failed", message="It could not be saved.")
        Job.objects.all().delete()

        told = together(*[lambda upload=upload: press("retry", upload)] * 3)

        assert sorted("retried" in text for text in told) == [False, False, True]
        job = Job.objects.get()
        upload.refresh_from_db()
        assert (upload.state, upload.job_id) == ("STORED", job.pk)
        run_jobs()
        profile.refresh_from_db()
        assert profile.letter.read() == str(profile.pk).encode()
    assert LogEntry.objects.count() == ROUNDS


def test_a_failed_upload_that_is_retried_and_discarded_at_once_is_gone(press):
    for _ in range(ROUNDS):
        profile, upload = a_waiting_upload()
        endings.end(upload, "FAILED", code="failed", message="It could not be saved.")
        Job.objects.all().delete()

        together(
            lambda upload=upload: press("retry", upload),
            lambda upload=upload: press("discard", upload),
        )

        run_jobs()
        upload.refresh_from_db()
        profile.refresh_from_db()
        assert upload.state == "CANCELLED"
        assert not profile.letter
        assert not Job.objects.exists()
    assert not UploadChunk.objects.exists()
