"""What is said of exceptions: in few words, and without the frames of the worker."""

import asyncio
import concurrent.futures
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType, TracebackType

import asgiref

from dbqueue import wings
from dbqueue.tasks import payload

MESSAGE_LENGTH = 500  # characters of an exception's message that are kept


def _folder(module: ModuleType) -> str:
    return f"{Path(str(module.__file__)).parent}/"


_OWN = f"{Path(__file__).parent.parent}/"
# By what the worker calls async tasks: frames of theirs may stand between its own.
_BETWEEN = (_folder(asgiref), _folder(asyncio), _folder(concurrent.futures))
# Wings whose tasks only call functions of projects.
_callers: set[str] = set()


def fold_those_of(wing: str) -> None:
    """Have the frames of a wing be taken off as those of the worker are.

    It is for one that stands between the worker and a project's function. The tasks of
    other wings are jobs like any other.
    """
    _callers.add(wing)


def fold(error: BaseException) -> None:
    """Take our frames off the top of a traceback, and of those of its causes.

    One that has no other frames keeps those of a wing, or is left whole: then the
    mistake is ours. The log, the row, receivers and error trackers all read the
    exception, and so see the same.
    """
    every = set(wings.names())
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        whole = found.__traceback__
        rest = _below(whole, every - _callers) or _below(whole, every)
        found.__traceback__ = rest or whole
        waiting += [found.__cause__, found.__context__]
        if isinstance(found, BaseExceptionGroup):
            waiting += found.exceptions


def _below(frame: TracebackType | None, kept: Iterable[str]) -> TracebackType | None:
    """Return what is below our frames, those of the wings that are kept included."""
    folders = tuple(f"{_OWN}{name}/" for name in kept)
    while frame is not None:
        file = frame.tb_frame.f_code.co_filename
        is_ours = file.startswith(_OWN) and not file.startswith(folders)
        if not (is_ours or file.startswith(_BETWEEN)):
            break
        frame = frame.tb_next
    return frame


def told(error: BaseException) -> dict[str, str]:
    """Return what the record of an attempt says of an exception."""
    path = f"{type(error).__module__}.{type(error).__qualname__}"
    return {
        "exception": payload.printable(path)[:MESSAGE_LENGTH],
        "message": payload.printable(_text(error))[:MESSAGE_LENGTH],
    }


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # a stranger's __str__
        return f"<{type(error).__name__} that cannot be printed>"
