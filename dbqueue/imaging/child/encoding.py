"""Writing pictures: only the pixels, and the same bytes each time."""

import io
from collections.abc import Callable
from typing import Any

from PIL import Image

from dbqueue.imaging.child.colours import plain, upright
from dbqueue.imaging.formats import FORMATS
from dbqueue.imaging.order import Made
from dbqueue.imaging.rejections import Rejected

_WHITE = (255, 255, 255)
# What is written again if it became larger than it was: up to so many pixels, and with
# which shares of the quality.
_AGAIN = 8_000_000
_LESS = (0.8, 0.6, 0.4)
# The sum of the JPEG standard's table for luminance, which libjpeg scales by quality.
_STANDARD = 3688


def write_still(
    image: Image.Image, name: str, format: str, quality: int, source: int | None = None
) -> Made:
    """Write the picture into the current folder.

    `source` is the bytes that it had in this format. More of them would show nothing
    that was not there, so that the quality is lowered if that helps.
    """
    shown = _flat(image) if format == "JPEG" else image
    _save(shown, name, format, _options(format, quality), source)
    return Made(image.width, image.height)


def write_animation(
    frames: "Frames", name: str, format: str, quality: int, source: int | None = None
) -> Made:
    """Write all frames into the current folder, as long and as often as they were.

    See write_still().
    """
    options = _options(format, quality)
    if format == "GIF":
        # What becomes transparent again must be wiped; all else is painted over.
        options["disposal"] = 2 if frames.see_through else 1
    if frames.loop is not None:
        options["loop"] = frames.loop
    options |= {"save_all": True, "duration": frames.durations}
    _save(frames, name, format, options, source)
    with Image.open(name, formats=[format]) as written:
        # Pillow joins frames that are identical.
        return Made(*written.size, int(getattr(written, "n_frames", 1)))


def jpeg_quality(image: Image.Image) -> int:
    """Return the quality, 1 to 100, that libjpeg has for tables like this picture's.

    For another than a JPEG it is 100.
    """
    tables: dict[int, list[int]] = getattr(image, "quantization", {})
    if not tables:
        return 100
    scale = 100 * sum(next(iter(tables.values()))) / _STANDARD
    quality = 5000 / scale if scale > 100 else (200 - scale) / 2
    return min(max(round(quality), 1), 100)


class Frames(Image.Image):
    """The frames of an animation, one decoded at a time, for Pillow's writers."""

    def __init__(
        self,
        source: Image.Image,
        orientation: int,
        check: Callable[[tuple[int, int]], None],
    ) -> None:
        super().__init__()
        # An APNG may begin with a picture for viewers that know no APNG.
        self._first = 1 if source.info.get("default_image") else 0
        self.n_frames = int(getattr(source, "n_frames", 1)) - self._first
        self.is_animated = True
        self._source, self._orientation, self._check = source, orientation, check
        self._at = -1
        self.durations: list[int] = []  # milliseconds
        self.see_through = False
        self.loop: int | None = source.info.get("loop")
        for index in range(self.n_frames):
            self.seek(index)
            self.durations.append(round(source.info.get("duration", 0)))
            if self.mode == "RGBA":
                self.see_through |= self.getchannel("A").getextrema() != (255, 255)
        self.seek(0)

    def tell(self) -> int:
        return self._at

    def seek(self, frame: int) -> None:
        if frame == self._at:
            return
        if frame >= self.n_frames:
            raise EOFError
        self._source.seek(self._first + frame)
        self._check(self._source.size)
        image = upright(plain(self._source.copy()), self._orientation)
        self.im, self._mode, self._size = image.im, image.mode, image.size
        self._at = frame


def _save(
    image: Image.Image,
    name: str,
    format: str,
    options: dict[str, Any],
    source: int | None,
) -> None:
    encoded = _encoded(image, format, options)
    if source and _costs_little(image):
        for tighter in _tighter(options, format):
            if len(encoded) <= source:
                break
            encoded = min(encoded, _encoded(image, format, tighter), key=len)
    # Pillow's C code reports as done a write that a full disk or a limit cut short.
    with open(name, "wb") as target:
        target.write(encoded)


def _costs_little(image: Image.Image) -> bool:
    frames = getattr(image, "n_frames", 1)
    return bool(image.width * image.height * frames <= _AGAIN)


def _tighter(options: dict[str, Any], format: str) -> list[dict[str, Any]]:
    if format == "PNG":
        return [{**options, "optimize": True}]
    if "quality" not in options:
        return []
    return [{**options, "quality": round(options["quality"] * f)} for f in _LESS]


def _encoded(image: Image.Image, format: str, options: dict[str, Any]) -> memoryview:
    encoded = io.BytesIO()
    try:
        image.save(encoded, format, **options)
    except (OSError, RuntimeError, ValueError):
        # All of it could be decoded; an encoder fails for lack of memory, or because a
        # number is too large for the format, each with an error of its own.
        raise Rejected("too_much_memory") from None
    return encoded.getbuffer()


def _options(format: str, quality: int) -> dict[str, Any]:
    known = FORMATS[format]
    return {"quality": quality, **known.options} if known.is_lossy else {}


def _flat(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size, _WHITE)
    ground.paste(image, mask=image.getchannel("A"))
    return ground
