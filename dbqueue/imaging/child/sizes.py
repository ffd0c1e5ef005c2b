"""From one picture to its variants, reading each pixel as seldom as possible."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from PIL import Image

from dbqueue.imaging.policy import LONGEST_SIDE, Variant

Size = tuple[int, int]
Box = tuple[float, float, float, float]

# A variant is made from one that has this many times its pixels a side, or more:
# scaling twice from nearly the same size blurs.
_ENOUGH = 2
# Average whole blocks of pixels first while this many a side remain for the filter;
# the eye cannot tell, and 11 megapixels shrink in a third of the time.
_GAP = 3.0


@dataclass(frozen=True, slots=True)
class Cut:
    """The part of a picture that a variant shows, and the variant's size."""

    box: Box  # left, upper, right, lower, in pixels of the picture
    size: Size

    @classmethod
    def of(cls, size: Size, variant: Variant) -> Self:
        """Return the cut of a picture of that size."""
        width, height = size
        across = variant.width / width
        down = (variant.height or LONGEST_SIDE) / height
        if variant.fit == "contain":
            scale = min(across, down, 1.0)
            return cls((0, 0, width, height), _scaled(size, scale))
        scale = max(across, down)
        shown = (width * across / scale, height * down / scale)
        return cls(_centred(shown, size), _scaled(shown, min(scale, 1.0)))

    @property
    def scale(self) -> float:
        """Pixels of the variant for one of the picture."""
        return max(
            self.size[0] / (self.box[2] - self.box[0]),
            self.size[1] / (self.box[3] - self.box[1]),
        )


def resized(
    image: Image.Image, variants: Mapping[str, Variant]
) -> Iterator[tuple[str, Image.Image]]:
    """Yield each variant's picture, the largest first."""
    cuts = {name: Cut.of(image.size, variant) for name, variant in variants.items()}
    bases = [(1.0, image)]  # whole pictures, each smaller than the one before
    for name, cut in sorted(cuts.items(), key=lambda item: -item[1].scale):
        large = [base for scale, base in bases if scale >= _ENOUGH * cut.scale]
        base = large[-1] if large else image
        made = _cut_out(base, cut, image.size)
        if variants[name].fit == "contain":
            bases.append((cut.scale, made))
        yield name, made


def draft_size(size: Size, variants: Mapping[str, Variant]) -> Size:
    """Return how large a decoded picture must be to make good variants of it."""
    scale = max(
        (Cut.of(size, variant).scale for variant in variants.values()), default=0
    )
    return _scaled(size, min(1.0, scale * _ENOUGH))


def _cut_out(base: Image.Image, cut: Cut, size: Size) -> Image.Image:
    across, down = base.width / size[0], base.height / size[1]
    left, upper, right, lower = cut.box
    box = (
        left * across,
        upper * down,
        min(right * across, base.width),
        min(lower * down, base.height),
    )
    if cut.size == base.size and box == (0, 0, *base.size):
        return base
    return base.resize(cut.size, Image.Resampling.LANCZOS, box, reducing_gap=_GAP)


def _centred(shown: tuple[float, float], size: Size) -> Box:
    # Pillow refuses a box that rounding has put 1e-13 of a pixel outside.
    left = max(0.0, (size[0] - shown[0]) / 2)
    upper = max(0.0, (size[1] - shown[1]) / 2)
    right, lower = min(left + shown[0], size[0]), min(upper + shown[1], size[1])
    return left, upper, right, lower


def _scaled(size: tuple[float, float], scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
