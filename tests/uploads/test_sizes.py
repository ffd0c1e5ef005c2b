"""Pictures of any size, and all their variants, through a real worker."""

from random import Random

import pytest
from PIL import Image

from dbqueue.models import FinishedJob, Upload
from dbqueue.uploads import save_image
from tests.gallery.models import Profile
from tests.imaging.test_sizes import VARIANTS
from tests.support.processes import scaled, wait_until_empty
from tests.uploads.test_images import an_image, picture

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

COUNT = scaled(8, 500)
LONGEST = 1200  # pixels


def test_pictures_of_any_size_are_saved_with_all_their_variants(
    run_worker, settings, tmp_path, database_address
):
    settings.MEDIA_ROOT = str(tmp_path)
    chance = Random(3)
    variants = {f"v{place}": variant for place, variant in enumerate(VARIANTS)}
    sizes = {}
    for _ in range(COUNT):
        profile = Profile.objects.create()
        size = chance.randint(1, LONGEST), chance.randint(1, LONGEST)
        format = chance.choice(["JPEG", "PNG", "WEBP"])
        content = picture(size, format)
        save_image(an_image(content), profile, variants=variants, owner=None)
        sizes[str(profile.pk)] = size
    worker = run_worker("--processes", 2, settings={"MEDIA_ROOT": str(tmp_path)})

    wait_until_empty(worker, 60 + COUNT)

    uploads = list(Upload.objects.all())
    assert {upload.state for upload in uploads} == {"DONE"}
    assert FinishedJob.objects.filter(state="SUCCESSFUL", failures=0).count() == COUNT
    for upload in uploads:
        assert (upload.width, upload.height) == sizes[upload.object_pk]
        assert upload.pictures.keys() == variants.keys()
        for made in upload.pictures.values():
            with Image.open(tmp_path / made["name"]) as image:
                assert image.size == (made["width"], made["height"])
