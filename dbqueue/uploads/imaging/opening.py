"""Opening a picture: what is refused before, while and after a decoder sees it."""

import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, features

from dbqueue.uploads.imaging.rejections import Rejected
from dbqueue.uploads.policy import ImagePolicy
from dbqueue.uploads.signatures import HEAD, Kind, check_image_head


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture that passed the look at its headers."""

    source: BinaryIO
    kind: Kind
    size: tuple[int, int]
    frames: int

    def again(self) -> AbstractContextManager[Image.Image]:
        """Open the picture anew: a decoder that has verified cannot decode."""
        return _open(self.source, self.kind)


def inspect(source: BinaryIO, policy: ImagePolicy) -> Opened:
    """Look at the headers and at what can be verified without decoding."""
    source.seek(0)
    kind = check_image_head(source.read(HEAD), policy)
    if kind.name in ("AVIF", "HEIF", "WEBP") and not _readable(kind):
        raise Rejected("format_not_allowed")
    # Pillow's own limit, an error by this filter, stands below a larger one of ours.
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, policy.max_pixels)
    with _open(source, kind) as image:
        check_size(image.size, policy)
        image.verify()
    with _open(source, kind) as image:
        frames = _frames(image)
        check_size(image.size, policy)
        if frames > policy.max_frames:
            raise Rejected("too_many_frames")
        width, height = image.size
        if frames * width * height > policy.max_total_pixels:
            raise Rejected("too_many_pixels")
        return Opened(source, kind, image.size, frames)


def check_size(size: tuple[int, int], policy: ImagePolicy) -> None:
    if size[0] * size[1] > policy.max_pixels:
        raise Rejected("too_many_pixels")


def _open(source: BinaryIO, kind: Kind) -> Image.Image:
    source.seek(0)
    # One format, the sniffed one: no other parser sees the bytes. To Pillow a photo
    # with a preview inside is "MPO", a format it has no name for when asked to open.
    return Image.open(source, formats=[kind.name])


def _readable(kind: Kind) -> bool:
    if kind.name == "HEIF":
        return "HEIF" in Image.OPEN
    return bool(features.check(kind.name.lower()))


def _frames(image: Image.Image) -> int:
    # The other pictures in a photo file are previews and depth maps, no animation.
    if image.format in ("MPO", "HEIF"):
        return 1
    return int(getattr(image, "n_frames", 1))
