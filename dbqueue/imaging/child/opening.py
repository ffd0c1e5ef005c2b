"""Opening a picture: what is refused before, while and after a decoder sees it."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, features

from dbqueue.imaging.exceptions import ContentRejected
from dbqueue.imaging.formats import FORMATS
from dbqueue.imaging.policy import ImagePolicy
from dbqueue.imaging.rejections import Rejected, Unreadable
from dbqueue.imaging.signatures import HEAD, Kind, check_image_head

Size = tuple[int, int]

_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


@contextmanager
def reading() -> Iterator[None]:
    """Blame the picture for what is raised here, unless a limit was reached.

    Pillow answers bad bytes with SyntaxError, IndexError, KeyError, struct.error,
    zlib.error, …: its errors cannot be told apart by class.
    """
    try:
        yield
    except (Rejected, ContentRejected, MemoryError, *_BOMBS):
        raise
    except Exception as error:
        raise Unreadable(error) from error


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture whose headers passed the checks."""

    source: BinaryIO
    kind: Kind
    size: Size
    frames: int

    def again(self) -> AbstractContextManager[Image.Image]:
        """Reopen the picture: a decoder that has verified cannot decode."""
        return _open(self.source, self.kind)


def inspect(source: BinaryIO, policy: ImagePolicy, memory: int) -> Opened:
    """Check the headers and what can be verified without decoding.

    `memory` is the bytes that may be used.
    """
    source.seek(0)
    head = source.read(HEAD)
    kind = check_image_head(head, policy)
    if FORMATS[kind.name].is_optional and not _readable(kind):
        raise Rejected("format_not_allowed")
    # Pillow's own limit, an error by this filter, may be below ours.
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, policy.max_pixels)
    if kind.name == "WEBP":
        # Its decoder allocates two frames as soon as it is opened.
        _check_room(_webp_size(head), kind, policy, memory)
    with _open(source, kind) as image:
        _check_room(image.size, kind, policy, memory)
        image.verify()
    with _open(source, kind) as image:
        frames = _frames(image)
        check_size(image.size, policy)
        pixels = frames * image.width * image.height
        if frames > policy.max_frames or pixels > policy.max_total_pixels:
            raise Rejected("too_many_frames")
        return Opened(source, kind, image.size, frames)


def check_size(size: Size, policy: ImagePolicy) -> None:
    if size[0] * size[1] > policy.max_pixels:
        raise Rejected("too_many_pixels")


def _check_room(size: Size, kind: Kind, policy: ImagePolicy, memory: int) -> None:
    check_size(size, policy)
    if size[0] * size[1] * FORMATS[kind.name].pixel > memory:
        raise Rejected("too_much_memory")


def _webp_size(head: bytes) -> Size:
    """Return the size in the first chunk: VP8X, VP8L (lossless) or VP8."""
    if head[12:16] == b"VP8X":
        return _number(head[24:27]) + 1, _number(head[27:30]) + 1
    if head[12:16] == b"VP8L":
        bits = _number(head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return _number(head[26:28]) & 0x3FFF, _number(head[28:30]) & 0x3FFF


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


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
