"""A traceback in parts: the project's frames open, those of libraries folded."""

import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FRAME = re.compile(r'^\s*File "(?P<file>[^"]*)", line \d+, in ')
_LIBRARIES = tuple(
    {
        *(sysconfig.get_paths().get(name, "") for name in ("stdlib", "platstdlib")),
        *(f"{Path(prefix) / 'lib'}" for prefix in (sys.prefix, sys.base_prefix)),
        f"{Path(__file__).parents[2]}/",
    }
    - {""}
)
_MARK = re.compile(r"/(site|dist)-packages/|/lib/python\d|<frozen ")


@dataclass(slots=True)
class Part:
    """Lines of a traceback; `frames` of a library, or else of the project or none."""

    is_library: bool
    lines: list[str] = field(default_factory=list)
    frames: int = 0

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def parts(traceback: str) -> list[Part]:
    """Return the traceback in the order of its lines."""
    found: list[Part] = []
    for is_library, lines in _frames(traceback.splitlines()):
        is_frame = is_library is not None
        if not found or found[-1].is_library != bool(is_library):
            found.append(Part(bool(is_library)))
        found[-1].lines += lines
        found[-1].frames += is_frame
    return found


def is_library(file: str) -> bool:
    """Tell whether a file is not of the project."""
    return file.startswith(_LIBRARIES) or bool(_MARK.search(file))


def _frames(lines: list[str]) -> Iterator[tuple[bool | None, list[str]]]:
    """Yield the frames; what is none comes line by line, with None."""
    frame: list[str] = []
    of_library = False
    for line in lines:
        match = _FRAME.match(line)
        if match:
            if frame:
                yield of_library, frame
            frame, of_library = [line], is_library(match["file"])
        elif frame and line.startswith("    "):
            frame.append(line)
        else:
            if frame:
                yield of_library, frame
                frame = []
            yield None, [line]
    if frame:
        yield of_library, frame
