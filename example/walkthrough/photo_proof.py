"""Looks at a photograph as it lies in the storage: its size, turn, colours, secrets."""

from functools import cached_property

from django.conf import settings
from PIL import Image, ImageChops, ImageSequence, ImageStat
from pypdf import PdfReader

from people.photos import VARIANTS
from walkthrough.photographs import PRIVATE

TOLERANCE = 2.0  # of 255, on average; a wide-gamut profile that is lost costs 7
_LOOK = (48, 48)  # pixels; enough to tell a turn from another


class StoredPhoto:
    """What became of a photograph that was accepted."""

    def __init__(self, photograph, profile, upload):
        self._wanted = photograph
        self._profile = profile
        self._upload = upload
        self._path = settings.MEDIA_ROOT / profile.photo.name
        with Image.open(self._path) as image:
            self.format, self.size = image.format, image.size
            self._frames = [f.convert("RGB") for f in ImageSequence.Iterator(image)]

    @property
    def description(self):
        """The format, and how many frames an animation has."""
        frames = len(self._frames)
        return self.format if frames == 1 else f"{self.format}, {frames} frames"

    @property
    def dimensions(self):
        return "{} x {}".format(*self.size)

    @cached_property
    def is_upright(self):
        """Whether no other turn is closer to the photograph than the one it has."""
        turns = [None, *Image.Transpose]
        return all(
            min(turns, key=lambda turn: _difference(_turned(ours, turn), wanted))
            is None
            for ours, wanted in self._pairs()
        )

    @cached_property
    def colour_error(self):
        """How far the colours are off on average, of 255, in the worst frame."""
        return max(_difference(ours, wanted) for ours, wanted in self._pairs())

    @cached_property
    def secrets(self):
        """What the files still tell of who took the photograph, and where."""
        names = [v["name"] for v in self._upload.variants.values()]
        paths = [self._path, *(settings.MEDIA_ROOT / name for name in names)]
        return sorted({secret for path in paths for secret in _secrets(path)})

    def is_shown(self, answer):
        """Tell whether that is the file which the page should show."""
        portrait = settings.MEDIA_ROOT / self._upload.variants["portrait"]["name"]
        return answer == portrait.read_bytes()

    def complaints(self):
        """Yield a sentence for everything that is not as it should be."""
        wanted, first = self._wanted, self._wanted.frames[0]
        kept = len(self._frames) == len(wanted.frames)
        if self.format != wanted.format or not kept:
            yield f"was stored as {self.description}"
        recorded = (self._profile.photo_width, self._profile.photo_height)
        if not self.size == recorded == first.size:
            yield f"has {self.size} pixels, {recorded} on record, not {first.size}"
        if not self.is_upright:
            yield "is not upright"
        if self.colour_error > TOLERANCE:
            yield f"has colours that are off by {self.colour_error:.1f} of 255"
        if self.secrets:
            yield f"still carries {', '.join(self.secrets)}"
        if self._upload.variants.keys() != VARIANTS.keys():
            yield f"has the variants {', '.join(self._upload.variants) or 'none'}"

    def _pairs(self):
        return zip(self._frames, self._wanted.frames, strict=False)


def pictures_in(pdf):
    """Return how many pictures the pages of a PDF show."""
    return sum(len(page.images) for page in PdfReader(pdf).pages)


def _turned(picture, turn):
    return picture if turn is None else picture.transpose(turn)


def _difference(one, other):
    looks = [picture.resize(_LOOK) for picture in (one, other)]
    means = ImageStat.Stat(ImageChops.difference(*looks)).mean
    return sum(means) / len(means)


def _secrets(path):
    content = path.read_bytes()
    yield from (text.decode().strip("\0") for text in PRIVATE if text in content)
    with Image.open(path) as image:
        yield from (f"EXIF {tag}" for tag in image.getexif())
        yield from image.info.keys() & {"comment", "xmp", "exif"}
