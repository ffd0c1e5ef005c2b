"""What becomes of a schedule whose tick comes: its row, and its jobs. Asks nothing."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from dbqueue import dialects
from dbqueue.dialects.columns import NewJob
from dbqueue.exceptions import TaskNotFound
from dbqueue.schedules import calls
from dbqueue.schedules.exceptions import UnknownCadence
from dbqueue.schedules.models import Schedule
from dbqueue.schedules.times import plan

logger = logging.getLogger(__name__)

Write = Callable[[datetime | None], str | None]  # a moment, as a statement takes it
# Tasks that this process cannot import, and kinds of cadences that no module here
# defines: their schedules are left to others.
unknown: set[str] = set()
unknown_kinds: set[str] = set()


@dataclass(slots=True)
class Change:
    """A schedule that is due at a moment, and what becomes of it then."""

    row: Schedule
    at: float  # monotonic: when it is due
    step: plan.Step = field(default_factory=plan.Step)
    jobs: list[NewJob] = field(default_factory=list)
    problem: str = ""
    # The row, and those of the jobs that are as most are, as statements take them.
    moved: str = ""
    inserted: list[str] = field(default_factory=list)

    def leave_out(
        self, error: Exception, write: Write, step: plan.Step | None, now: datetime
    ) -> None:
        """Leave out what is due, and say why; the next tick is another try."""
        self.jobs, self.inserted = [], []
        self.problem = f"{type(error).__name__}: {error}"[:1000]
        self.step = plan.next_try(self.row, step, now)
        self.moved = json.dumps(self._moved(write))

    def plan(
        self, dialect: dialects.Dialect, write: Write, now: datetime, *, busy: bool
    ) -> bool:
        """Note what is to be done; False leaves the schedule to other keepers."""
        row, self.jobs, planned = self.row, [], None
        try:
            planned = self.step = plan.step(row, now, busy=busy)
            previous = plan.aware(row.last_run_at)
            for tick in self.step.fired:
                self.jobs.append(calls.job_of(row, tick, previous))
                previous = tick
            plain = [job for job in self.jobs if not job.more]
            self.inserted = [dialect.as_due(job) for job in plain]
            self.moved = json.dumps(self._moved(write))
        except (TaskNotFound, UnknownCadence) as error:
            if isinstance(error, TaskNotFound):
                unknown.add(row.task)
            else:
                unknown_kinds.update(row.cadence)
            logger.warning("Schedule %r is left to others: %s", row.name, error)
            return False
        except Exception as error:  # whatever is wrong with it, the others are fired
            self.leave_out(error, write, planned, now)
        return True

    def _moved(self, write: Write) -> dict[str, Any]:
        row, step = self.row, self.step
        last = step.fired[-1] if self.jobs else plan.aware(row.last_run_at)
        job_id: UUID | None = self.jobs[-1].id if self.jobs else row.last_job_id
        return {
            "id": row.pk.hex,
            "was": write(row.next_run_at),
            "waited_for": write(row.waiting_for),
            "next_run_at": write(step.next_run_at),
            "due_at": write(step.due_at),
            "waiting_for": write(step.waiting_for),
            "last_run_at": write(last),
            "last_job_id": None if job_id is None else job_id.hex,
            "fired": len(self.jobs),
            "recent": self._recent(),
            "problem": self.problem,
        }

    def _recent(self) -> list[Any]:
        entries = [
            plan.entry(tick, job.id.hex, "fired")
            for tick, job in zip(self.step.fired, self.jobs, strict=False)
        ]
        entries += [plan.entry(tick, None, "skipped") for tick in self.step.skipped]
        entries.sort(key=lambda item: item["tick"], reverse=True)
        return plan.remembered(self.row, entries)
