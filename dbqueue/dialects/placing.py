"""Unique jobs: each is written, or answered with the job that has its key."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction

from dbqueue.dialects import columns
from dbqueue.dialects.columns import NewJob
from dbqueue.dialects.rows import Calls, Written

KEY = "unique_key"  # the column that carries a key up to here
# The jobs that have their keys, word for word as the condition of the index is: that is
# how SQLite recognises it.
HAS_KEY = """unique_key IS NOT NULL
    AND (unique_until = 'F' OR NOT (state = 'RUNNING'))"""
# What is told of a job that stands, unfinished or finished.
OF_BOTH = (*columns.CARRIED, *columns.JSON, "state", "failures", "attempt_log")
TOLD = (*OF_BOTH, "result", "finished_at")
# What a job that is replaced keeps of its own, beside what no enqueue writes.
_KEPT = ("id", "unique_key", "unique_until", "enqueued_at", "retry_of", "once")
REPLACED = (
    *(name for name in columns.WRITTEN if name not in _KEPT),
    *("lane", "fair_group", "expires_at"),
)
# Where the ends of an earlier job with the key may be, with its columns.
COOLING = """FROM dbqueue_finishedjob AS f
    WHERE f.unique_key = {key} AND f.finished_at > {since} AND f.state <> 'CANCELLED'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How long a key is taken, in seconds, and what then becomes of another job."""

    until: str | None  # a UniqueUntil; None with `throttle`, which does not ask the job
    replaces: bool = False
    delay: float | None = None  # of a debounce
    max_wait: float | None = None
    throttle: float | None = None
    cooldown: float | None = None


class Placed(NamedTuple):
    """A job as it stands after an enqueue, which has written it or not."""

    is_new: bool
    # By the names in TOLD; all but the id are None if its record was pruned. JSON is
    # text.
    columns: dict[str, Any]


class PlacedMany(NamedTuple):
    """What came of many: the others are new."""

    written: Written | None  # None if none is new
    stand: dict[str, dict[str, Any]]  # by the keys of those that are not new


class Placing:
    """See Dialect, of which it is a part."""

    alias: str

    def insert_unique(self, job: NewJob, *, once: bool) -> Written | None:
        """Insert a job that has a rule; return None if its key or its id is taken."""
        more = dict(job.more or {})
        key = more.pop(KEY, None)
        job = replace(job, more=more, rule=None if key is None else job.rule)
        if key is None:
            return self.insert(job, once=once)
        placed = self.place(job, key, once=once)
        return new(placed) if placed.is_new else None

    def place(self, job: NewJob, key: str, *, once: bool = False) -> Placed:
        """Write the job, or return the one that has its key; replaced, if so ruled.

        With `once`, the one that has its id, too.
        """
        job, rule = _debounced(job)
        while (placed := self._placed(job, key, rule, once=once)) is None:
            pass  # another one came, or went, since the statement began
        return placed

    def place_many(
        self,
        job: NewJob,
        calls: Calls,
        keys: Sequence[str | None],
        *,
        at: datetime | None = None,
    ) -> PlacedMany:
        """Write a job for each call whose key is free; None is. No two are alike.

        They are enqueued `at` a moment, now by default. The keys are to be in order,
        or two lists wait for each other.
        """
        job, rule = _debounced(job)
        while (placed := self._placed_all(job, calls, keys, rule, at)) is None:
            pass  # another one came, or went, since the statement began
        return placed

    def _placed_all(
        self,
        job: NewJob,
        calls: Calls,
        keys: Sequence[str | None],
        rule: Rule,
        at: datetime | None,
    ) -> PlacedMany | None:
        with transaction.atomic(using=self.alias):
            written, new = self._placed_many(job, calls, keys, rule, at)
            asked = [key for key in keys if key is not None and key not in new]
            stand = self._standing(asked, rule) if asked else {}
            if len(stand) == len(asked):
                return PlacedMany(written, stand)
            # Those that are left may be lower than keys that are ours by now: all are
            # given up, for the order.
            transaction.set_rollback(True, using=self.alias)
        return None

    def insert(self, job: NewJob, *, once: bool = False) -> Written | None:
        raise NotImplementedError

    def _placed(
        self, job: NewJob, key: str, rule: Rule, *, once: bool
    ) -> Placed | None:
        """Return what one statement finds, None if it has met another's commit."""
        raise NotImplementedError

    def _placed_many(
        self,
        job: NewJob,
        calls: Calls,
        keys: Sequence[str | None],
        rule: Rule,
        at: datetime | None,
    ) -> tuple[Written | None, set[str]]:
        """Write what is free; return what holds for the new, and their keys."""
        raise NotImplementedError

    def _standing(self, keys: Sequence[str], rule: Rule) -> dict[str, dict[str, Any]]:
        """Return the columns of the jobs that have the keys."""
        raise NotImplementedError


def new(placed: Placed) -> Written:
    """Return what the database decided when it wrote a job."""
    row = placed.columns
    return Written(row["state"], row["enqueued_at"], row["run_after"])


def _debounced(job: NewJob) -> tuple[NewJob, Rule]:
    """Return the job as its rule has it wait, and the rule."""
    rule: Rule = job.rule
    return (job if rule.delay is None else replace(job, delay=rule.delay)), rule


def told(values: Sequence[Any]) -> dict[str, Any]:
    """Return the columns that a statement has told, by their names."""
    return dict(zip(TOLD, values, strict=True))


def conflict(update: str | None) -> str:
    """Return what an INSERT does where the key is taken."""
    do = "NOTHING" if update is None else f"UPDATE SET {update}"
    return f"ON CONFLICT (unique_key) WHERE {HAS_KEY} DO {do}"


def replacement(due: str, now: str) -> str:
    """Return what replacing one that waits sets; `due` is the new moment, as SQL."""
    new = ", ".join(f"{name} = excluded.{name}" for name in REPLACED)
    return f"""{new}, run_after = {due}, state = CASE
        WHEN {due} > {now} THEN 'SCHEDULED'
        WHEN excluded.lane IS NULL THEN 'READY' ELSE 'BLOCKED' END"""


def of_throttle(keys: str, now: str, form: str = "{}") -> str:
    """Return the question for the jobs by which keys are throttled."""
    both = ", ".join(
        form.format(f"coalesce(j.{name}, f.{name})") for name in OF_BOTH[1:]
    )
    return f"""SELECT t.key, t.job_id, {both}, f.result, f.finished_at
    FROM dbqueue_throttle AS t
    LEFT JOIN dbqueue_job AS j ON j.id = t.job_id
    LEFT JOIN dbqueue_finishedjob AS f ON f.id = t.job_id
    WHERE t.key {keys} AND t.expires_at > {now}"""
