"""The child of one picture: confines itself, renders, answers and ends."""

import errno
import io
import json
import os
import socket
from typing import Any

from PIL import Image

from dbqueue.imaging.child.confinement import confine, die_with
from dbqueue.imaging.child.render import Rendering
from dbqueue.imaging.exceptions import ContentRejected
from dbqueue.imaging.order import Order
from dbqueue.imaging.rejections import Rejected, Unreadable


def run(parent: int, channel: socket.socket, source: int, folder: int) -> None:
    """Carry out the order that the channel brings, and answer with one line."""
    die_with(parent)
    with channel.makefile("rb") as lines:
        order = Order.from_line(lines.readline())
    os.fchdir(folder)
    confined = confine(order.limits, keep=(channel.fileno(), source))
    answer = _answer(source, order)
    if "memory" in answer and not confined.has_its_memory:
        answer = {"failed": f"Less memory than a decoder may have: {answer['memory']}"}
    channel.sendall(json.dumps(answer).encode() + b"\n")


def _answer(source: int, order: Order) -> dict[str, Any]:
    try:
        pictures = Rendering(io.BufferedReader(Pread(source)), order).run()
    except Rejected as reason:
        return {"rejected": reason.args[0]}
    except ContentRejected as reason:
        return {"rejected": reason.code}
    except MemoryError as short:
        return _memory(short)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return {"rejected": "too_many_pixels"}
    except Unreadable as unreadable:
        error = unreadable.error
        damaged = {"rejected": "damaged", "by": type(error).__name__}
        return _limit_or_machine(error) or damaged
    # What was decoded is not to blame for what we do with it.
    except Exception as error:
        failed = {"failed": f"{type(error).__name__}: {error}"}
        return _limit_or_machine(error) or failed
    return {"pictures": pictures}


def _limit_or_machine(error: Exception) -> dict[str, str] | None:
    number = error.errno if isinstance(error, OSError) else None
    # The wording of Pillow and of libavif.
    if number == errno.ENOMEM or "out of memory" in str(error).lower():
        return _memory(error)
    if number == errno.EFBIG:
        return {"rejected": "output_too_large"}
    if number:  # the machine's, such as that of a full disk
        return {"failed": f"{type(error).__name__}: {os.strerror(number)}"}
    return None


def _memory(error: Exception) -> dict[str, str]:
    """Return that memory ran out while it worked; by whose limit, is to be seen."""
    return {"rejected": "too_much_memory", "memory": str(error) or type(error).__name__}


class Pread(io.RawIOBase):
    """A file read at a place of its own: the client's descriptor does not move."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset += self._at
        elif whence == os.SEEK_END:
            offset += os.fstat(self._descriptor).st_size
        if offset < 0:
            raise ValueError("A file has no place before its beginning.")
        self._at = offset
        return offset

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self._descriptor, len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
