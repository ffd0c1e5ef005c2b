"""Images from the call in a view, through the sandbox, to the field of the model."""

from io import BytesIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from dbqueue.exceptions import ContentRejected, UploadFieldUnknown, UploadTooLarge
from dbqueue.models import FinishedJob, Upload, UploadArtifact, UploadChunk
from dbqueue.testing import run_jobs
from dbqueue.uploads import ImagePolicy, Variant, save_image
from tests.gallery.models import Profile, saved
from tests.uploads.test_uploads import age, storage, stored_files, sweep_all  # noqa: F401

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile():
    return Profile.objects.create(name="Ada")


def picture(size=(60, 40), format="JPEG", colour="red", **how):
    buffer = BytesIO()
    Image.new("RGB", size, colour).save(buffer, format, **how)
    return buffer.getvalue()


def an_image(content=None, name="me.jpg", field_name="photo"):
    file = SimpleUploadedFile(name, content or picture(), "image/jpeg")
    file.field_name = field_name
    return file


def opened(field):
    with field.open() as file:
        image = Image.open(file)
        image.load()
    return image


class TestASavedImage:
    def test_a_saved_image_reaches_its_field_with_width_and_height(self, profile):
        handle = save_image(an_image(), profile)
        run_jobs()

        handle.refresh()
        profile.refresh_from_db()
        assert handle.state == "DONE"
        assert (profile.photo_width, profile.photo_height) == (60, 40)
        assert opened(profile.photo).size == (60, 40)
        assert opened(profile.photo).getpixel((5, 5))[0] > 250

    def test_a_saved_image_stands_upright(self, profile):
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by a quarter
        save_image(an_image(picture(exif=exif)), profile)

        run_jobs()

        profile.refresh_from_db()
        assert (profile.photo_width, profile.photo_height) == (40, 60)
        assert not opened(profile.photo).getexif()

    def test_a_saved_image_has_the_extension_of_what_it_is(self, profile):
        save_image(an_image(picture(format="PNG"), "me.php.jpg"), profile)

        run_jobs()

        profile.refresh_from_db()
        assert profile.photo.name.endswith("-1.png")

    def test_a_saved_image_comes_with_its_variants(self, profile, storage):  # noqa: F811
        handle = save_image(
            an_image(picture((900, 600))),
            profile,
            variants={
                "thumb": Variant(100, 100, fit="cover"),
                "large": Variant(450, format="JPEG"),
            },
        )
        run_jobs()

        handle.refresh()
        sizes = {name: (v["width"], v["height"]) for name, v in handle.variants.items()}
        assert sizes == {"thumb": (100, 100), "large": (450, 300)}
        for name, variant in handle.variants.items():
            with storage.open(variant["name"]) as file:
                assert Image.open(file).size == sizes[name]
        assert handle.variants["thumb"]["name"].endswith("-1-thumb.webp")
        assert len(stored_files(storage)) == 3

    def test_a_saved_image_takes_its_variants_along_when_it_is_replaced(
        self,
        profile,
        storage,  # noqa: F811
    ):
        thumb = {"thumb": Variant(10)}
        for _ in range(2):
            save_image(an_image(), profile, variants=thumb)
            run_jobs()

        sweep_all()

        live = set(
            UploadArtifact.objects.filter(state="LIVE").values_list("name", flat=True)
        )
        assert stored_files(storage) == live
        assert len(live) == 2

    def test_a_saved_image_keeps_its_variants_as_long_as_it_is_shown(
        self,
        profile,
        storage,  # noqa: F811
    ):
        save_image(an_image(), profile, variants={"thumb": Variant(10)})
        run_jobs()
        age()
        sweep_all()
        assert len(stored_files(storage)) == 2
        assert Upload.objects.exists()

        profile.refresh_from_db()
        Profile.objects.update(photo="")
        age()
        sweep_all()

        assert stored_files(storage) == {profile.photo.name}
        assert not Upload.objects.exists()

    def test_a_saved_image_may_go_through_the_models_own_save(self, profile):
        save_image(an_image(), profile, save_mode="save")

        run_jobs()

        profile.refresh_from_db()
        assert profile.photo_width == 60
        columns = frozenset({"photo", "photo_width", "photo_height"})
        assert saved[1:] == [("Profile", columns)]


class TestARejectedImage:
    @pytest.mark.parametrize(
        "content",
        [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<?php echo 1;", b"hello" * 9],
    )
    def test_an_image_is_refused_at_once_if_its_first_bytes_are_none(
        self, content, profile
    ):
        with pytest.raises(ContentRejected, match="not a picture") as caught:
            save_image(an_image(content), profile)

        assert caught.value.code == "not_an_image"
        assert not UploadChunk.objects.exists()

    def test_an_image_is_rejected_once_in_words_and_its_bytes_go(self, profile):
        handle = save_image(an_image(picture()[:400]), profile)
        results = run_jobs(scheduled=True)

        handle.refresh()
        assert handle.state == "REJECTED"
        assert handle.error.code == "damaged"
        assert handle.error.message.endswith(".")
        assert [result.attempts for result in results] == [1]
        assert FinishedJob.objects.get().result == {
            "state": "REJECTED",
            "code": "damaged",
        }
        assert not UploadChunk.objects.exists()
        profile.refresh_from_db()
        assert not profile.photo

    def test_an_image_over_the_limits_of_its_policy_is_rejected(self, profile):
        with pytest.raises(UploadTooLarge):
            save_image(an_image(), profile, policy=ImagePolicy(max_size=100))
        handle = save_image(an_image(), profile, policy=ImagePolicy(max_pixels=2000))
        run_jobs()

        handle.refresh()
        assert (handle.state, handle.error.code) == ("REJECTED", "too_many_pixels")

    def test_an_image_without_a_field_is_rejected(self, profile):
        with pytest.raises(UploadFieldUnknown, match="photo, banner"):
            save_image(an_image(field_name=None), profile)
        with pytest.raises(UploadFieldUnknown, match="Did you mean 'photo'"):
            save_image(an_image(), profile, "foto")
        with pytest.raises(UploadFieldUnknown, match="no ImageField 'letter'"):
            save_image(an_image(), profile, "letter")
