"""Jobs that were chosen, by their ids or by what they share, and their moves."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from dbqueue.jobs.moves import steps
from dbqueue.jobs.moves.again import enqueue_again
from dbqueue.jobs.moves.waiting import Seconds, await_end, wait
from dbqueue.jobs.results import stored_result
from dbqueue.models import FinishedJob, Job, JobRecord
from dbqueue.tasks import options
from dbqueue.tasks.moves import Moved, twin
from dbqueue.tasks.registry import in_name
from dbqueue.tasks.results import JobResult

BATCH = 500  # jobs that one statement moves, and that one transaction holds

Progress = Callable[[Moved], object]
Rows = QuerySet[Any]


class Selection:
    """Jobs of one database; each move is made of those that it applies to.

    The moves take `batch`, how many jobs one transaction moves, default 500; and
    `progress`, which is called after each batch with what was done up to then. Each job
    is moved by a guarded statement, so a move that was interrupted may be made again.
    """

    def __init__(
        self,
        backend: Any,
        alias: str,
        *,
        ids: Sequence[UUID] | None = None,
        unfinished: Rows | None = None,
        finished: Rows | None = None,
    ) -> None:
        self.database = alias
        self._backend = backend
        self._ids = ids
        self._rows: dict[type[JobRecord], Rows | None] = {
            Job: unfinished,
            FinishedJob: finished,
        }

    def __iter__(self) -> Iterator[JobResult]:
        """Yield the result of each job; its task need not be importable."""
        for model in (Job, FinishedJob):
            for ids in self._pages(model, BATCH):
                rows = model.objects.using(self.database).in_bulk(ids)
                for id in ids:
                    if id in rows:
                        yield stored_result(rows[id], in_name(rows[id].task))

    def count(self) -> int:
        """Return how many jobs there are."""
        return sum(
            rows.count()
            for model in (Job, FinishedJob)
            if (rows := self.rows(model)) is not None
        )

    def count_for(self, move: str) -> int:
        """Return how many jobs there are that a move is for."""
        states = steps.APPLIES[move]
        rows = self.rows(FinishedJob if states == steps.FINISHED else Job)
        return 0 if rows is None else rows.filter(state__in=states).count()

    def rows(self, model: type[JobRecord]) -> Rows | None:
        """Return those of a table; None if none of them can be there."""
        if self._ids is None:
            return self._rows[model]
        rows: Rows = model._default_manager.using(self.database)
        return rows.filter(pk__in=self._ids)

    def cancel(
        self,
        *,
        reason: str = "",
        by: str = "",
        batch: int = BATCH,
        progress: Progress | None = None,
    ) -> Moved:
        """End jobs that wait as CANCELLED, and ask running ones to stop.

        `reason`, and `by`, who wants it, are for the record.
        """
        step = partial(steps.cancel, reason=reason, by=by)
        return self._each("cancel", step, batch, progress)

    def retry(
        self,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        batch: int = BATCH,
        progress: Progress | None = None,
    ) -> Moved:
        """Run finished jobs again, under the same ids and with no failures.

        With other `args` or `kwargs`, enqueue a new job for the only one, in its queue,
        which says `retry_of`; raises WrongArguments, and what else enqueue() raises.
        """
        if args is None and kwargs is None:
            return self._each("retry", steps.retry, batch, progress)
        return enqueue_again(self._backend, self._only(), args, kwargs)

    def run_now(self, *, batch: int = BATCH, progress: Progress | None = None) -> Moved:
        """Make scheduled jobs due."""
        return self._each("run_now", steps.run_now, batch, progress)

    def reschedule(
        self,
        run_after: datetime | timedelta,
        *,
        batch: int = BATCH,
        progress: Progress | None = None,
    ) -> Moved:
        """Have jobs that wait run at a moment, or so long from now.

        Raises InvalidTask for what is neither.
        """
        options.check_moment(run_after)
        step = partial(steps.reschedule, run_after=run_after)
        return self._each("reschedule", step, batch, progress)

    def move_to(
        self,
        queue_name: str,
        *,
        batch: int = BATCH,
        progress: Progress | None = None,
    ) -> Moved:
        """Put jobs that wait into another queue. Raises InvalidTask for its name."""
        self._backend.check_queue(queue_name)
        step = partial(steps.move_to, queue_name=queue_name)
        return self._each("move_to", step, batch, progress)

    def set_priority(
        self,
        priority: int,
        *,
        batch: int = BATCH,
        progress: Progress | None = None,
    ) -> Moved:
        """Give jobs that wait another priority. Raises InvalidTask for what is none."""
        options.check_priority(priority)
        step = partial(steps.set_priority, priority=priority)
        return self._each("set_priority", step, batch, progress)

    def discard(self, *, batch: int = BATCH, progress: Progress | None = None) -> Moved:
        """Delete the records of finished jobs."""
        return self._each("discard", steps.discard, batch, progress)

    acancel = twin(cancel)
    aretry = twin(retry)
    arun_now = twin(run_now)
    areschedule = twin(reschedule)
    amove_to = twin(move_to)
    aset_priority = twin(set_priority)
    adiscard = twin(discard)
    acount = twin(count)

    def wait(self, timeout: Seconds, *, allow_in_job: bool = False) -> JobResult:
        """Return the result of the only job when it has ended; see JobResult.wait()."""
        return wait(self.database, self._only(), timeout, allow_in_job=allow_in_job)

    async def await_result(
        self, timeout: Seconds, *, allow_in_job: bool = False
    ) -> JobResult:
        """See wait()."""
        return await await_end(
            self.database, self._only(), timeout, allow_in_job=allow_in_job
        )

    def _each(
        self,
        move: str,
        step: Callable[[str, Iterable[UUID]], Moved],
        batch: int,
        progress: Progress | None,
    ) -> Moved:
        if not isinstance(batch, int) or batch < 1:
            raise ValueError(f"batch={batch!r} must be a whole number from 1.")
        answer = Moved(move=move)
        for ids in self._to_move(move, batch):
            answer.add(step(self.database, ids))
            if progress is not None:
                progress(answer)
        return answer

    def _to_move(self, move: str, batch: int) -> Iterator[list[UUID]]:
        """Yield the jobs in batches; of a filter, those that the move is for."""
        if self._ids is not None:
            for first in range(0, len(self._ids), batch):
                yield list(self._ids[first : first + batch])
            return
        states = steps.APPLIES[move]
        model = FinishedJob if states == steps.FINISHED else Job
        yield from self._pages(model, batch, states)

    def _pages(
        self, model: type[JobRecord], size: int, states: Sequence[str] = ()
    ) -> Iterator[list[UUID]]:
        """Yield the ids of those in a table, in order.

        A job that is moved meanwhile, and comes back, is not met again.
        """
        rows = self.rows(model)
        if rows is None:
            return
        if states:
            rows = rows.filter(state__in=states)
        last: UUID | None = None
        while True:
            beyond = rows if last is None else rows.filter(pk__gt=last)
            ids = list(beyond.order_by("pk").values_list("pk", flat=True)[:size])
            # The id of a damaged row reads as one that is too low.
            if not ids or (last is not None and max(ids) <= last):
                return
            yield ids
            if len(ids) < size:
                return
            last = max(ids)

    def _only(self) -> UUID:
        """Return the id of the only job."""
        if self._ids is None or len(self._ids) != 1:
            raise ValueError(
                "This is for one job, chosen by its id: take several one by one."
            )
        return self._ids[0]
