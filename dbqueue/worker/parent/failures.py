"""Whether a job has FAILED, in whichever process of a worker it was recorded."""

import mmap
from types import TracebackType
from typing import Any, Self

from dbqueue import signals
from dbqueue.jobs.events import JobEvent
from dbqueue.models import JobState

# The exit code that tells of it.
FAILED_JOBS = 4
# What can leave a job FAILED: its own end, and a rescue from a worker that died.
_ENDS = (signals.job_finished, signals.job_rescued)


class FailureNote:
    """True from the first failure in the block, also in processes forked there."""

    def __init__(self) -> None:
        self._failed = mmap.mmap(-1, 1)  # shared with what is forked

    def __enter__(self) -> Self:
        for signal in _ENDS:
            signal.connect(self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for signal in _ENDS:
            signal.disconnect(self._hear)

    def __bool__(self) -> bool:
        return bool(self._failed[0])

    def _hear(self, event: JobEvent, **kwargs: Any) -> None:
        if event.state == JobState.FAILED:
            self._failed[0] = 1
