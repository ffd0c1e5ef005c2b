"""Where a variant is cut out of a picture, for any size of both."""

import random

import pytest

from dbqueue.imaging.child.sizes import Cut
from dbqueue.imaging.policy import Variant
from tests.imaging import pictures
from tests.imaging.pictures import data, read
from tests.support.processes import scaled

VARIANTS = (
    Variant(200, 200, fit="cover"),
    Variant(150, 150, fit="cover"),
    Variant(1200, 630, fit="cover"),
    Variant(64, 64, fit="cover"),
    Variant(300),
    Variant(640, 480),
)


def sizes(seed, count, longest):
    chance = random.Random(seed)
    return [
        (chance.randint(1, longest), chance.randint(1, longest)) for _ in range(count)
    ]


def test_a_cut_lies_within_the_picture_and_fits_the_variant():
    for size in [(4624, 3468), (61, 58), *sizes(1, 10_000, 16_383)]:
        for variant in VARIANTS:
            cut = Cut.of(size, variant)

            left, upper, right, lower = cut.box
            assert 0 <= left < right <= size[0], (size, variant)
            assert 0 <= upper < lower <= size[1], (size, variant)
            assert 1 <= cut.size[0] <= variant.width, (size, variant)
            assert 1 <= cut.size[1] <= (variant.height or 16_383), (size, variant)


@pytest.mark.parametrize(
    "size", [(4624, 3468), (61, 58), (245, 245), *sizes(2, scaled(20, 500), 1200)]
)
def test_a_picture_of_any_size_gets_its_variants(render, size):
    variants = {str(n): variant for n, variant in enumerate(VARIANTS)}
    variants["small"] = Variant(80, 60, fit="cover")

    rendered = render(data(pictures.quarters(size)), variants)

    for name, picture in rendered.variants.items():
        assert read(picture.path).size == (picture.width, picture.height), name
