"""What an upload may be, and which pictures are made of it."""

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from math import inf
from typing import Any, Literal, Self

from dbqueue.imaging.formats import IMAGE_FORMATS, VARIANT_FORMATS

MAX_SIZE = 100_000_000  # bytes; a database is the wrong place for more
LARGEST = 5_000_000_000_000  # bytes; the most that a storage of objects takes
LONGEST_SIDE = 16_383  # pixels; what WebP can hold

_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+|(image|audio|video)/\*|\.[\w.+-]+", re.ASCII)


class Serializable:
    """What can travel as JSON, in the row of an upload or to the sandbox."""

    __slots__ = ()

    def as_json(self) -> dict[str, Any]:
        """Return the JSON that from_json() reads."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]  # a mixin

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Return the equal of what wrote this. Raises ValueError for a mistake."""
        known = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # a mixin
        for key in stored:
            if key not in known:
                hint = _choice(key, known)
                raise ValueError(f"{cls.__name__} has no option {key!r}.{hint}")
        return cls(**stored)


@dataclass(frozen=True, slots=True)
class Variant(Serializable):
    """A picture made from an uploaded one, never larger than that one.

    "contain" fits the whole picture into `width` x `height` pixels; without a height,
    the width decides. "cover" fills them and cuts off the rest, keeping the centre.
    `format` None means WebP; `quality` (1 to 100) None means the policy's.
    """

    width: int
    height: int | None = None
    fit: Literal["contain", "cover"] = field(default="contain", kw_only=True)
    format: str | None = field(default=None, kw_only=True)
    quality: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _whole("width", self.width, 1, LONGEST_SIDE)
        if self.height is not None:
            _whole("height", self.height, 1, LONGEST_SIDE)
        _one_of("fit", self.fit, ("contain", "cover"))
        if self.fit == "cover" and self.height is None:
            raise ValueError(
                "fit='cover' fills a box, so it needs a height. Give one, or use "
                "fit='contain'."
            )
        if self.format is not None:
            _one_of("format", self.format, VARIANT_FORMATS)
        if self.quality is not None:
            _whole("quality", self.quality, 1, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePolicy(Serializable):
    """Which pictures are accepted, and what becomes of them.

    HEIF is accepted only where pillow-heif is installed, and re-encoded as JPEG.
    """

    # Bytes, at most MAX_SIZE.
    max_size: int = 20_000_000
    # Width times height; a picture costs the sandbox 4 to 16 bytes for each.
    max_pixels: int = 50_000_000
    # Frames of an animation, and all their pixels together.
    max_frames: int = 1000
    max_total_pixels: int = 500_000_000
    formats: Collection[str] = IMAGE_FORMATS
    # "reencode" leaves nothing of the file but its pixels; "keep" stores its bytes
    # unchanged, with the place of the photo and all other metadata.
    original: Literal["reencode", "keep"] = "reencode"
    # "first" makes a still picture of an animation.
    animated: Literal["keep", "first"] = "keep"
    # 1 to 100, for what is re-encoded with loss.
    quality: int = 85

    def __post_init__(self) -> None:
        _check_size(self.max_size)
        for name in ("max_pixels", "max_frames", "max_total_pixels"):
            _whole(name, getattr(self, name), 1)
        _whole("quality", self.quality, 1, 100)
        _one_of("original", self.original, ("reencode", "keep"))
        _one_of("animated", self.animated, ("keep", "first"))
        _set_names(self, "formats", IMAGE_FORMATS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePolicy(Serializable):
    """Which files are accepted; they are stored unchanged.

    `types` holds content types ("application/pdf"), "image/*" for every picture that
    cannot contain scripts, "audio/*" and "video/*", and endings (".csv"); None accepts
    all, also what browsers run. Its first bytes tell what a file is, where they can;
    one that a content type lets in is stored under the ending of its content.
    """

    # Bytes. Through the database it is at most MAX_SIZE, whatever is given.
    max_size: int = 20_000_000
    types: Collection[str] | None = None

    def __post_init__(self) -> None:
        _check_size(self.max_size, LARGEST)
        if self.types is None:
            return
        _set_names(self, "types")
        for name in self.types:
            if not _TYPE.fullmatch(name):
                raise ValueError(
                    f"types has {name!r}. Give a content type such as "
                    '"application/pdf", "image/*", or an ending such as ".csv".'
                )


def _check_size(size: Any, most: int = MAX_SIZE) -> None:
    if not _is_whole(size, 1, most):
        raise ValueError(
            f"max_size={size!r} must be a whole number of bytes, from 1 to {most:,}."
        )


def _set_names(policy: Any, name: str, known: Collection[str] = ()) -> None:
    given = getattr(policy, name)
    if isinstance(given, str) or not isinstance(given, Collection) or not given:
        raise ValueError(f"{name}={given!r} must be a list of at least one name.")
    for item in given:
        if not isinstance(item, str) or (known and item not in known):
            raise ValueError(f"{name} has {item!r}.{_choice(item, known)}")
    object.__setattr__(policy, name, tuple(given))


def _one_of(name: str, value: Any, known: Collection[str]) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r} is unknown.{_choice(value, known)}")


def _choice(value: Any, known: Collection[str]) -> str:
    near = get_close_matches(str(value).upper(), [name.upper() for name in known], n=1)
    for name in known:
        if near and name.upper() == near[0]:
            return f" Did you mean {name!r}?"
    return f" Use one of {', '.join(known)}." if known else " It must be text."


def _whole(name: str, value: Any, least: int, most: float = inf) -> None:
    if not _is_whole(value, least, most):
        bound = f"at least {least}" if most == inf else f"from {least} to {most}"
        raise ValueError(f"{name}={value!r} must be a whole number, {bound}.")


def _is_whole(value: Any, least: int, most: float) -> bool:
    is_int = isinstance(value, int) and not isinstance(value, bool)
    return is_int and least <= value <= most
