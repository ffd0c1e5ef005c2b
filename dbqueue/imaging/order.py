"""The input and the output of the sandbox."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from dbqueue.imaging.formats import FORMATS
from dbqueue.imaging.policy import ImagePolicy, Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the decoding of one picture may cost; more of it is a rejection."""

    # Bytes of address space beyond what the sandbox has at its start: an AVIF of the 50
    # megapixels that a policy lets in by default takes 1.7 GiB of it.
    memory: int = 2 * 1024**3
    # Seconds of processor time, whole ones, and seconds on the wall.
    cpu_seconds: int = 30
    wall_seconds: float = 60.0
    # Bytes of the largest file written.
    output_bytes: int = 200_000_000
    open_files: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture in the folder of the outputs."""

    path: Path
    format: str
    content_type: str
    extension: str  # with its dot
    width: int  # pixels, upright
    height: int
    frames: int  # 1 for a still picture
    size: int  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The pictures made of an uploaded one."""

    kind: str  # what was uploaded, such as "HEIF"
    original: Picture
    variants: dict[str, Picture]


class Made(NamedTuple):
    """What the sandbox reports of a picture it wrote."""

    width: int
    height: int
    frames: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the sandbox is to do with one picture."""

    policy: ImagePolicy
    variants: Mapping[str, Variant]
    limits: Limits = field(default_factory=Limits)
    # Whether to write the original, too; a preview needs none.
    original: bool = True

    def formats(self, kind: str) -> list[str]:
        """Return the formats of what is written of such a picture, in order."""
        formats = [variant.format or "WEBP" for variant in self.variants.values()]
        if self.original:
            keeps = FORMATS[kind].is_output or self.policy.original == "keep"
            formats.insert(0, kind if keeps else "JPEG")
        return formats

    def as_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Order":
        order = json.loads(line)
        variants = order["variants"].items()
        return cls(
            policy=ImagePolicy.from_json(order["policy"]),
            variants={name: Variant.from_json(given) for name, given in variants},
            limits=Limits(**order["limits"]),
            original=order["original"],
        )


def file_name(place: int, format: str) -> str:
    """Return the name of the output at that place of Order.formats()."""
    return f"{place}{FORMATS[format].extension}"
