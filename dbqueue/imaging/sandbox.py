"""The client of the sandbox: hands over a picture and trusts no answer.

Nothing here loads Pillow. Threads may render at once; each picture has a child of its
own in the sandbox.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dbqueue.imaging.conversation import Conversation, converse
from dbqueue.imaging.exceptions import SandboxFailed
from dbqueue.imaging.formats import FORMATS
from dbqueue.imaging.order import Limits, Order, Picture, Rendered, file_name
from dbqueue.imaging.policy import ImagePolicy, Variant
from dbqueue.imaging.rejections import CODES, rejection
from dbqueue.imaging.signatures import HEAD, check_image_head, sniff

__all__ = ["Limits", "Picture", "Rendered", "render", "thumbnail"]

logger = logging.getLogger(__name__)

_ATTEMPTS = 2  # once, a killed child may be an accident


def render(
    source_fd: int,
    policy: ImagePolicy,
    variants: Mapping[str, Variant],
    folder: Path,
    *,
    limits: Limits | None = None,
) -> Rendered:
    """Write the picture and its variants into an empty folder of this user's.

    Raises ContentRejected for a picture that cannot be accepted, MissingExtra without
    Pillow, and SandboxFailed if the machine is to blame; what is in the folder then is
    of no use. The place at which `source_fd` is read does not matter and stays.
    """
    order = Order(policy=policy, variants=variants, limits=limits or Limits())
    kind, (original, *made) = _carried_out(order, source_fd, folder)
    return Rendered(
        kind=kind, original=original, variants=dict(zip(variants, made, strict=True))
    )


def thumbnail(source_fd: int, folder: Path, size: int = 512) -> Picture:
    """Write a JPEG of at most `size` pixels a side; see render()."""
    variant = Variant(size, size, format="JPEG")
    order = Order(policy=ImagePolicy(), variants={"": variant}, original=False)
    _, (picture,) = _carried_out(order, source_fd, folder)
    return picture


def _carried_out(order: Order, source: int, folder: Path) -> tuple[str, list[Picture]]:
    kind = check_image_head(os.pread(source, HEAD, 0), order.policy).name
    # Pictures leave the one folder that decoders know once they are checked.
    with TemporaryDirectory(dir=folder) as outputs:
        answer = _answer(order, source, Path(outputs), kind)
        return kind, _checked(answer, order, kind, Path(outputs))


def _answer(order: Order, source: int, folder: Path, kind: str) -> Mapping[str, Any]:
    for _ in range(_ATTEMPTS):
        talk = converse(order, source, folder)
        if talk.over_time:
            raise rejection("too_complex", order.policy)
        if talk.late:
            raise SandboxFailed(_starved(talk, order))
        if talk.failure is not None:
            raise SandboxFailed(f"The sandbox failed: {talk.failure}.")
        if talk.status == 0:
            return talk.answer
    if talk.crashed:
        logger.warning("Decoder crashed kind=%s status=%r", kind, talk.status)
        raise rejection("decoder_crash", order.policy)
    raise SandboxFailed(
        f"The decoder was ended twice in a row, with status {talk.status}: the machine "
        "may be short of memory."
    )


def _starved(talk: Conversation, order: Order) -> str:
    return (
        f"The decoder had {talk.used:.1f} of the "
        f"{order.limits.cpu_seconds} seconds of processor time it may use within "
        f"{order.limits.wall_seconds:g} seconds: the machine is overloaded."
    )


def _checked(
    answer: Mapping[str, Any], order: Order, kind: str, folder: Path
) -> list[Picture]:
    if "rejected" in answer:
        code = answer["rejected"] if answer["rejected"] in CODES else "decoder_crash"
        logger.info("Picture rejected code=%s by=%r", code, answer.get("by"))
        raise rejection(code, order.policy)
    try:
        made = zip(order.formats(kind), answer["pictures"], strict=True)
        return [
            _picture(folder / file_name(place, format), format, order.policy, *sizes)
            for place, (format, sizes) in enumerate(made)
        ]
    # Whatever is wrong with it: the decoder is compromised, or has a bug.
    except (LookupError, TypeError, ValueError, OSError) as error:
        logger.warning("Decoder gave an invalid answer kind=%s error=%r", kind, error)
        raise rejection("decoder_crash", order.policy) from None


def _picture(
    path: Path, format: str, policy: ImagePolicy, width: int, height: int, frames: int
) -> Picture:
    """Return the picture if it is what was ordered. Raises ValueError if not."""
    # Opening a FIFO would block.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with open(os.open(path, flags), "rb") as output:
        status = os.fstat(output.fileno())
        found = sniff(output.read(HEAD))
        kept = path.rename(path.parents[1] / path.name)
        if not os.path.samestat(status, kept.lstat()):
            raise ValueError(f"{path.name} was replaced while it was checked.")
    if not (found and found.name == format):
        raise ValueError(f"{path.name} holds {found}.")
    # bool is an int, too.
    if any(type(side) is not int or side < 1 for side in (width, height, frames)):
        raise ValueError(f"{path.name} has the size {(width, height, frames)}.")
    if width * height > policy.max_pixels or frames > policy.max_frames:
        raise ValueError(f"{path.name} is larger than what came in.")
    return Picture(
        path=kept,
        format=format,
        content_type=FORMATS[format].content_type,
        extension=FORMATS[format].extension,
        width=width,
        height=height,
        frames=frames,
        size=status.st_size,
    )
