"""What the headers of tus 1.0 say. https://tus.io/protocols/resumable-upload"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
ALGORITHMS = ("sha256", "sha1", "md5")
CONTENT_TYPE = "application/offset+octet-stream"
METHODS = "OPTIONS, POST, HEAD, PATCH, DELETE"
_DIGITS = 18  # of a number of bytes


class Problem(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(self, text: str, *, status: int = 400, **headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.headers = {key.replace("_", "-"): text for key, text in headers.items()}


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a piece has to amount to."""

    algorithm: str
    wanted: bytes
    _digest: Any = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.new(self.algorithm, usedforsecurity=False)
        object.__setattr__(self, "_digest", digest)

    def update(self, data: bytes) -> None:
        self._digest.update(data)

    def check(self) -> None:
        """Raise a Problem, 460, if what it was updated with is something else."""
        if self._digest.digest() != self.wanted:
            text = (
                f"The {self.algorithm} of these bytes is another one. Send them again."
            )
            raise Problem(text, status=460)


def check_version(headers: Mapping[str, str]) -> None:
    """Raise a Problem, 412, for a version that is not spoken here."""
    given = headers.get("Tus-Resumable")
    if given != VERSION:
        text = f"Tus-Resumable is {given!r}; this server has {VERSION!r}."
        raise Problem(text, status=412, Tus_Version=VERSION)


def number(headers: Mapping[str, str], name: str) -> int:
    """Return a number of bytes. Raises a Problem, 400, for anything else."""
    given = headers.get(name, "")
    if not (given.isascii() and given.isdigit() and len(given) <= _DIGITS):
        raise Problem(f"{name} is {given!r}, not a number of bytes.")
    return int(given)


def metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the pairs of Upload-Metadata. Raises a Problem, 400, if it is damaged."""
    found = {}
    for pair in headers.get("Upload-Metadata", "").split(","):
        key, _, value = pair.strip().partition(" ")
        if key:
            found[key] = _decoded(value, "Upload-Metadata").decode(errors="replace")
    return found


def checksum(headers: Mapping[str, str]) -> Checksum | None:
    """Return what Upload-Checksum wants, if there is one. Raises a Problem, 400."""
    given = headers.get("Upload-Checksum")
    if given is None:
        return None
    algorithm, _, value = given.partition(" ")
    if algorithm not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise Problem(f"Upload-Checksum by {algorithm!r}; use one of {known}.")
    return Checksum(algorithm, _decoded(value, "Upload-Checksum"))


def check_content_type(headers: Mapping[str, str]) -> None:
    """Raise a Problem, 415, for what is not a piece of an upload."""
    given = headers.get("Content-Type", "")
    if given != CONTENT_TYPE:
        raise Problem(f"Content-Type is {given!r}; send {CONTENT_TYPE!r}.", status=415)


def _decoded(value: str, name: str) -> bytes:
    try:
        return base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise Problem(f"{name} has {value!r}, which is not Base64.") from None
