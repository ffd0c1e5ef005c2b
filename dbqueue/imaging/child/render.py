"""The steps in the sandbox: check, decode, rotate, strip and write a picture."""

import os
import shutil
from functools import partial
from typing import BinaryIO

from PIL import Image

from dbqueue.imaging.child.colours import orientation, plain, upright
from dbqueue.imaging.child.encoding import (
    Frames,
    jpeg_quality,
    write_animation,
    write_still,
)
from dbqueue.imaging.child.opening import check_size, inspect, reading
from dbqueue.imaging.child.sizes import draft_size, resized
from dbqueue.imaging.order import Made, Order, file_name

Size = tuple[int, int]


class Rendering:
    """Writes the pictures of an order into the current folder."""

    def __init__(self, source: BinaryIO, order: Order) -> None:
        self._order = order
        self._policy = order.policy
        self._quality = 100  # that the source has, as far as it can be known
        with reading():
            self._opened = inspect(source, order.policy, order.limits.memory)
        self._outputs = [
            (file_name(place, format), format)
            for place, format in enumerate(order.formats(self._opened.kind.name))
        ]

    def run(self) -> list[Made]:
        """Write them. Raises Rejected, ContentRejected, and any error of Pillow's."""
        if not self._order.original:
            return self._variants(self._still()[0])
        moving = self._animation() if self._moves() else None
        still, size = self._still()
        return [moving or self._original(still, size), *self._variants(still)]

    def _moves(self) -> bool:
        first = self._policy.animated == "first" and self._policy.original == "reencode"
        return self._opened.frames > 1 and not first

    def _animation(self) -> Made | None:
        with self._opened.again() as image:
            check = partial(check_size, policy=self._policy)
            with reading():
                frames = Frames(image, orientation(image), check)
            if self._policy.original == "keep":  # that they can be decoded is enough
                return None
            return write_animation(
                frames, *self._outputs[0], self._policy.quality, self._source_size()
            )

    def _still(self) -> tuple[Image.Image, Size]:
        """Return the first frame, upright and plain, and the size it has in full."""
        with self._opened.again() as image:
            with reading():
                turn, size = self._decode(image)
            check_size(image.size, self._policy)
            return upright(plain(image), turn), size

    def _decode(self, image: Image.Image) -> tuple[int, Size]:
        """Load as much of it as is needed; return how it lies, and its full size."""
        turn = orientation(image)
        lies = turn >= 5
        size = image.size[::-1] if lies else image.size
        if not self._order.original or self._policy.original == "keep":
            needed = draft_size(size, self._order.variants)
            # A JPEG can be decoded at a half, a quarter or an eighth of its size.
            image.draft(None, needed[::-1] if lies else needed)
        image.load()
        self._quality = jpeg_quality(image)
        return turn, size

    def _original(self, still: Image.Image, size: Size) -> Made:
        if self._policy.original == "reencode":
            quality = min(self._policy.quality, self._quality)
            return write_still(still, *self._outputs[0], quality, self._source_size())
        self._opened.source.seek(0)
        with open(self._outputs[0][0], "wb") as target:
            shutil.copyfileobj(self._opened.source, target, 2**20)
        return Made(*size, self._opened.frames)

    def _source_size(self) -> int | None:
        """Return the bytes of the source if the original is written in its format."""
        if self._outputs[0][1] != self._opened.kind.name:
            return None
        return self._opened.source.seek(0, os.SEEK_END)

    def _variants(self, still: Image.Image) -> list[Made]:
        variants = self._order.variants
        first = len(self._outputs) - len(variants)  # behind the original
        outputs = dict(zip(variants, self._outputs[first:], strict=True))
        made = {}
        for name, image in resized(still, variants):
            quality = variants[name].quality or self._policy.quality
            made[name] = write_still(image, *outputs[name], quality)
        return [made[name] for name in variants]
