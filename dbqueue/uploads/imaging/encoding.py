"""Writing pictures: nothing but pixels goes into a file, and the same ones always."""

from collections.abc import Callable
from typing import Any

from PIL import Image

from dbqueue.uploads.imaging.colours import plain, upright
from dbqueue.uploads.imaging.order import Made

# At Pillow's default, 6, the AVIF of a photo takes seconds; 8 is twice as quick for a
# few per cent more bytes.
_AVIF_SPEED = 8
_WHITE = (255, 255, 255)


def write_still(image: Image.Image, name: str, format: str, quality: int) -> Made:
    """Write the picture into the current folder."""
    shown = _flat(image) if format == "JPEG" else image
    shown.save(name, format, **_options(format, quality))
    return Made(image.width, image.height)


def write_animation(frames: "Frames", name: str, format: str, quality: int) -> Made:
    """Write all frames into the current folder, as long and as often as they were."""
    options = _options(format, quality)
    if format == "GIF":
        # What is to become see-through again must be wiped; all else is painted over.
        options["disposal"] = 2 if frames.see_through else 1
    if frames.loop is not None:
        options["loop"] = frames.loop
    frames.save(name, format, save_all=True, duration=frames.durations, **options)
    return Made(frames.width, frames.height, frames.n_frames)


class Frames(Image.Image):
    """The frames of an animation, one decoded at a time, for Pillow's writers."""

    def __init__(
        self,
        source: Image.Image,
        orientation: int,
        check: Callable[[tuple[int, int]], None],
    ) -> None:
        super().__init__()
        self.n_frames = int(getattr(source, "n_frames", 1))
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
        self._source.seek(frame)
        self._check(self._source.size)
        image = upright(plain(self._source.copy()), self._orientation)
        self.im, self._mode, self._size = image.im, image.mode, image.size
        self._at = frame


def _options(format: str, quality: int) -> dict[str, Any]:
    if format == "AVIF":
        return {"quality": quality, "speed": _AVIF_SPEED}
    return {"quality": quality} if format in ("JPEG", "WEBP") else {}


def _flat(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size, _WHITE)
    ground.paste(image, mask=image.getchannel("A"))
    return ground
