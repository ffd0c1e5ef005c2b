"""The picture formats: one row for each, by Pillow's name of it."""

from typing import NamedTuple


class Format(NamedTuple):
    """A picture format; `signatures` has what its files begin with."""

    content_type: str
    extension: str  # with its dot
    # Whether variants can be written in it.
    is_output: bool = True
    # Whether `quality` means something when it is written.
    is_lossy: bool = False
    # What a writer of Pillow gets besides.
    options: dict[str, int] = {}
    # Bytes that decoding takes at least for a pixel, where that is more than Pillow's
    # four: these decoders say "damaged" when they get no memory.
    pixel: int = 4
    # Whether a Pillow may lack it: then its pictures are refused, not damaged.
    is_optional: bool = False


# At Pillow's default speed, 6, the AVIF of a photo takes seconds; 8 is twice as quick
# for a few per cent more bytes.
FORMATS = {
    "JPEG": Format("image/jpeg", ".jpg", is_lossy=True),
    "PNG": Format("image/png", ".png"),
    "GIF": Format("image/gif", ".gif"),
    "WEBP": Format("image/webp", ".webp", is_lossy=True, pixel=16, is_optional=True),
    "AVIF": Format(
        "image/avif",
        ".avif",
        is_lossy=True,
        options={"speed": 8},
        pixel=8,
        is_optional=True,
    ),
    # Browsers do not show it: what is re-encoded becomes a JPEG.
    "HEIF": Format("image/heic", ".heic", is_output=False, is_optional=True),
}
IMAGE_FORMATS = tuple(FORMATS)
VARIANT_FORMATS = tuple(name for name, format in FORMATS.items() if format.is_output)
