"""Each known defect of async_image_save (A1 to A11), and what happens here instead."""

import json

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from dbqueue.compat.async_image_save.utils import save_image
from dbqueue.exceptions import (
    ContentRejected,
    InstanceNotSaved,
    UploadFieldUnknown,
    UploadTooLarge,
)
from dbqueue.models import FinishedJob, Job, Upload, UploadArtifact, UploadChunk
from dbqueue.testing import run_jobs
from dbqueue.uploads import save_image as save_image_anew
from dbqueue.uploads import uploads_for
from tests.gallery.models import Profile, saved
from tests.uploads.test_images import an_image, picture
from tests.uploads.test_uploads import sweep_all

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)
    saved.clear()
    cache.clear()
    return tmp_path


@pytest.fixture
def profile():
    return Profile.objects.create(name="Ada")


@pytest.fixture
def broken(monkeypatch):
    """Have a storage that refuses to save until the test says otherwise."""

    def refuse(*args, **kwargs):
        raise OSError("The storage is away.")

    monkeypatch.setattr("django.core.files.storage.FileSystemStorage.save", refuse)
    return monkeypatch


def photo_of(profile):
    return Profile.objects.get(pk=profile.pk).photo


def stored(media):
    return [path for path in media.rglob("*") if path.is_file()]


def test_a1_the_bytes_do_not_travel_in_the_job(profile):
    save_image(an_image(picture((900, 900))), profile)

    job, upload = Job.objects.get(), Upload.objects.get()
    assert (job.args, job.kwargs) == ([str(upload.pk)], {})
    assert len(json.dumps(job.context)) < 1000


def test_a2_the_job_waits_for_the_transaction_and_goes_with_it(profile):
    with transaction.atomic():
        fresh = Profile.objects.create(name="Bob")
        save_image(an_image(), fresh)
    with transaction.atomic():
        save_image(an_image(), profile)
        transaction.set_rollback(True)

    run_jobs()

    assert photo_of(fresh)
    assert not photo_of(profile)
    assert Upload.objects.count() == FinishedJob.objects.count() == 1


def test_a3_what_others_write_to_the_row_in_the_meantime_stays(profile):
    save_image(an_image(), profile)
    Profile.objects.update(visits=7, name="Ada L.")

    run_jobs()

    profile.refresh_from_db()
    assert profile.photo
    assert (profile.visits, profile.name) == (7, "Ada L.")


def test_a4_of_two_images_for_a_field_the_later_one_stays(profile):
    save_image(an_image(picture(colour="red"), "first.jpg"), profile)
    save_image(an_image(picture(colour="blue"), "second.jpg"), profile)
    _, second = Job.objects.order_by("pk")
    Job.objects.filter(pk=second.pk).update(priority=50)  # it overtakes

    run_jobs()

    assert "second" in photo_of(profile).name
    assert {handle.state for handle in uploads_for(profile)} == {"DONE", "SUPERSEDED"}


def test_a5_a_failure_is_tried_again_and_never_loses_the_bytes(profile, broken):
    save_image(an_image(), profile)
    run_jobs(scheduled=True)
    (handle,) = uploads_for(profile)
    assert handle.state == "FAILED"
    assert FinishedJob.objects.get().failures > 1
    assert UploadChunk.objects.exists()
    broken.undo()

    assert handle.retry()
    run_jobs()

    assert photo_of(profile)


@pytest.mark.parametrize("name", ["photo", "ada-photo", "form-0-photo"])
def test_a6_the_field_is_found_behind_the_prefix_of_a_form(profile, name):
    save_image(an_image(field_name=name), profile)

    assert Upload.objects.get().field_name == "photo"


def test_a6_a_field_that_is_not_found_is_an_error_in_the_view(profile):
    with pytest.raises(UploadFieldUnknown, match="has no ImageField 'picture'"):
        save_image(an_image(field_name="picture"), profile)


@pytest.fixture
def run_and_commit(django_capture_on_commit_callbacks):
    def run():
        with django_capture_on_commit_callbacks(execute=True):
            run_jobs()

    return run


def test_a7_the_cache_is_cleared_once_the_image_is_there(profile, run_and_commit):
    cache.set("session", "Ada")
    save_image(an_image(), profile)
    assert cache.get("session") == "Ada"

    run_and_commit()

    assert cache.get("session") is None


def test_a7_the_cache_is_kept_by_calls_of_dbqueues_own_function(
    profile, run_and_commit
):
    cache.set("session", "Ada")
    save_image_anew(an_image(), profile)

    run_and_commit()

    assert cache.get("session") == "Ada"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"<?php system('id');", ContentRejected),
        (b"\xff\xd8\xff" + bytes(21_000_000), UploadTooLarge),
    ],
)
def test_a8_what_is_not_an_image_or_too_large_is_refused_at_once(
    profile, content, error
):
    with pytest.raises(error):
        save_image(an_image(content), profile)

    assert not Upload.objects.exists()


def test_a8_what_the_browser_says_of_a_file_is_not_believed(profile):
    file = SimpleUploadedFile("../x.php", picture(format="PNG"), "text/html")
    file.field_name = "photo"
    save_image(file, profile)

    run_jobs()

    assert photo_of(profile).name.startswith("photos/x")
    assert photo_of(profile).name.endswith(".png")


def test_a8_an_image_that_is_broken_is_rejected_in_words(profile):
    save_image(an_image(picture((500, 500))[:2000]), profile)

    run_jobs()

    (handle,) = uploads_for(profile)
    assert (handle.state, handle.error.code) == ("REJECTED", "damaged")
    assert FinishedJob.objects.get().failures == 0


def test_a9_the_old_file_is_deleted_once_no_page_shows_it(profile, media):
    for colour in ("red", "blue"):
        save_image(an_image(picture(colour=colour)), profile)
        run_jobs()
    assert len(stored(media)) == 2

    sweep_all()

    assert [path.name for path in stored(media)] == [photo_of(profile).name[7:]]


def test_a9_nothing_is_stored_for_a_row_that_is_gone(profile, media):
    save_image(an_image(), profile)
    profile.delete()

    run_jobs()

    assert Upload.objects.get().state == "SUPERSEDED"
    assert stored(media) == []
    assert not UploadChunk.objects.exists()
    assert not UploadArtifact.objects.exists()


@pytest.mark.django_db(databases=["default", "other"])
def test_a9_the_image_goes_to_the_database_that_the_row_is_in():
    elsewhere = Profile.objects.using("other").create(name="Bob")
    save_image(an_image(), elsewhere)

    run_jobs()

    assert Profile.objects.using("other").get().photo


def test_a10_it_can_be_imported_and_returns_nothing_as_it_did(profile):
    assert save_image(an_image(), profile) is None


def test_a10_signals_of_the_model_are_sent_as_they_were(profile):
    save_image(an_image(), profile)
    saved.clear()

    run_jobs()

    ((name, columns),) = saved
    assert name == "Profile"
    assert columns == {"photo", "photo_width", "photo_height"}


def test_a11_a_file_that_the_view_has_read_arrives_whole(profile):
    file = an_image()
    file.read()

    save_image(file, profile)

    assert Upload.objects.get().size == len(picture())


def test_the_instance_is_saved_before_the_image(profile):
    with pytest.raises(InstanceNotSaved, match="Save the instance first"):
        save_image(an_image(), Profile())
