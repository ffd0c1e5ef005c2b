"""The moves of a job that a backend for tests keeps in memory."""

from typing import Any, NoReturn

from django.utils import timezone

from dbqueue.exceptions import CannotWait
from dbqueue.models import JobState
from dbqueue.tasks.framework import InvalidTaskBackend
from dbqueue.tasks.moves import Moved
from dbqueue.tasks.results import STATUS, JobResult

_OTHERS = ("retry", "run_now", "reschedule", "move_to", "set_priority")


class KeptJob:
    """One job that was enqueued; it can be cancelled, discarded and waited for."""

    def __init__(self, backend: Any, id: str) -> None:
        self._backend = backend
        self._id = id

    def cancel(self, *, reason: str = "", by: str = "") -> Moved:
        result = self._backend.get_result(self._id)
        if result.is_finished:
            return Moved(move="cancel", skipped={result.state.lower(): 1})
        state = JobState.CANCELLED
        ended = {"state": state, "status": STATUS[state]}
        for name, value in {**ended, "finished_at": timezone.now()}.items():
            object.__setattr__(result, name, value)
        return Moved(move="cancel", done=1, ids=[self._id])

    def discard(self) -> Moved:
        result = self._backend.get_result(self._id)
        if not result.is_finished:
            return Moved(move="discard", skipped={result.state.lower(): 1})
        self._backend.results.remove(result)
        return Moved(move="discard", done=1, ids=[self._id])

    def wait(self, timeout: Any, *, allow_in_job: bool = False) -> JobResult:
        result: JobResult = self._backend.get_result(self._id)
        if not result.is_finished:
            raise CannotWait(
                f"Job {self._id} was to be waited for, and nothing runs what a "
                f"{type(self._backend).__name__} keeps."
            )
        return result

    async def await_result(self, timeout: Any, *, allow_in_job: bool = False) -> Any:
        return self.wait(timeout, allow_in_job=allow_in_job)

    def __getattr__(self, name: str) -> Any:
        if name not in _OTHERS:
            raise AttributeError(name)

        def refuse(*args: Any, **kwargs: Any) -> NoReturn:
            raise InvalidTaskBackend(
                f"{name}() is for jobs in a database, and a "
                f"{type(self._backend).__name__} keeps them in memory. Use "
                "DatabaseBackend and run_jobs() in tests of it."
            )

        return refuse
