"""Photos of phones that write HEIF; there only with pillow-heif."""

import pytest

from dbqueue.imaging.exceptions import ContentRejected
from dbqueue.imaging.policy import Variant
from tests.imaging.pictures import CORNERS, corners, data, near, quarters, read

pillow_heif = pytest.importorskip(
    "pillow_heif", reason="pillow-heif is not installed: pip install '.[heif]'"
)


@pytest.fixture
def photo():
    pillow_heif.register_heif_opener()
    return data(quarters((640, 480)), "HEIF", quality=90)


def test_becomes_a_jpeg(render, photo):
    rendered = render(photo, {"small": Variant(160)})

    assert (rendered.kind, rendered.original.format) == ("HEIF", "JPEG")
    for picture in (rendered.original, rendered.variants["small"]):
        assert near(corners(read(picture.path)), CORNERS, 16)


def test_may_be_kept_as_it_came(render, photo):
    original = render(photo, original="keep").original

    assert (original.content_type, original.extension) == ("image/heic", ".heic")
    assert original.path.read_bytes() == photo


def test_in_half_is_damaged(render, photo):
    with pytest.raises(ContentRejected) as caught:
        render(photo[: len(photo) // 2])

    assert caught.value.code == "damaged"
