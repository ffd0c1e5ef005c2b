"""The moves of a job on PostgreSQL."""

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, Error, connections, transaction

from dbqueue import conf
from dbqueue.dialects import rows
from dbqueue.dialects.columns import WRITTEN, ClaimedJob, NewJob
from dbqueue.dialects.listener import NullListener
from dbqueue.dialects.postgresql import inserts, libpq, moments, params, statements
from dbqueue.dialects.postgresql.cursors import OwnSession
from dbqueue.dialects.postgresql.placing import PostgreSQLPlacing
from dbqueue.dialects.postgresql.rare import LIGHT
from dbqueue.dialects.postgresql.session import PostgreSQLSession
from dbqueue.dialects.statements import FORGET_KNOWN, QUEUE_HEADS

# Targets in one statement: planning takes longer with each, and the first have most.
BRANCHES = 16
# Characters; the values of a longer statement stay in no cursor.
LARGE = 50_000
# Seconds between looks while no notification arrives.
UNHEARD_POLL_INTERVAL = 0.2
MISSING_TABLE, CANCELLED = "42P01", "57014"
SERIALIZATION_FAILURES = ("40001", "40P01")  # the second is a deadlock


class PostgreSQL(PostgreSQLPlacing):
    name = "postgresql"
    is_remote = True
    # Index entries of claimed rows stay until vacuum may remove them; a long
    # transaction elsewhere forbids that, and a scan from the start reads them all.
    low_water = True

    session = PostgreSQLSession
    prepare = staticmethod(libpq.set_timeouts)
    abort = staticmethod(libpq.abort)
    watch_client = staticmethod(libpq.watch_client)
    cancel = staticmethod(libpq.cancel)
    driver_is_idle = staticmethod(libpq.is_idle)

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        driver: Any = getattr(self.connection, "Database")  # noqa: B009  not in the stubs
        if driver.__name__ != "psycopg":
            raise ImproperlyConfigured(
                f"Database {alias!r} is reached through psycopg2, not psycopg 3. "
                "Install it: pip install 'dbqueue-django[postgres]'."
            )
        self._own = OwnSession()

    def insert(self, job: NewJob, *, once: bool = False) -> rows.Written | None:
        more = job.more
        if job.run_after is None and job.delay is None and not once and not more:
            (enqueued_at,) = self._row(inserts.INSERT_READY, self.values_of(job)) or ()
            return rows.Written("READY", enqueued_at, None)
        if job.rule is not None:
            return self.insert_unique(job, once=once)
        values = self.values_of(job) | dict(more or {})
        sql = inserts.insert_with(tuple(more or ()), rows.entry(more), once=once)
        row = self._row(sql, values)
        return rows.Written(*row) if row else None

    def insert_many(self, job: NewJob, calls: rows.Calls) -> rows.Written:
        values = self.values_of(job) | params.calls(calls) | dict(job.more or {})
        sql = inserts.insert_many(tuple(job.more or ()), tuple(calls.more))
        return rows.Written(*self._rows(sql, values)[0])

    def values_of(self, job: NewJob) -> dict[str, Any]:
        return {name: getattr(job, name) for name in (*WRITTEN, "run_after", "delay")}

    def take(
        self, targets: Sequence[rows.Target], worker_id: UUID, limit: int
    ) -> list[ClaimedJob]:
        if any(target.most is not None for target in targets):
            with self.one_commit():  # as long as they are locked
                self.read_committed()
                return self._take_all(self.within(targets), worker_id, limit)
        return self._take_all(targets, worker_id, limit)

    def _take_all(
        self, targets: Sequence[rows.Target], worker_id: UUID, limit: int
    ) -> list[ClaimedJob]:
        jobs: list[ClaimedJob] = []
        for first in range(0, len(targets), BRANCHES):
            if len(jobs) < limit:
                some = targets[first : first + BRANCHES]
                jobs += self._take(some, worker_id, limit - len(jobs))
        return jobs

    def _take(
        self, targets: Sequence[rows.Target], worker_id: UUID, limit: int
    ) -> list[ClaimedJob]:
        values: dict[str, Any] = {"limit": limit, "worker": worker_id}
        for n, target in enumerate(targets):
            values |= {f"{name}{n}": value for name, value in target._asdict().items()}
        sql = statements.take_from(tuple(map(_stretch, targets)))
        jobs = [ClaimedJob(*row) for row in self._rows(sql, values)]
        return moments.examined(jobs) if moments.met else jobs

    def forget_known(self, worker_id: UUID) -> None:
        self._run(FORGET_KNOWN, {"worker": worker_id})

    def finish(self, worker_id: UUID, outcomes: Sequence[rows.Outcome]) -> set[UUID]:
        values, sql = _fenced(worker_id, outcomes), statements.FINISH
        if {outcome.keep for outcome in outcomes} != {None}:
            sql = statements.FINISH_KEPT
            values["keeps"] = params.array(
                _seconds(outcome.keep) for outcome in outcomes
            )
        dropped = dict(self._rows(sql, values))
        for id in filter(dropped.get, dropped):
            rows.warn_of_drop(id)
        return set(dropped)

    def release(self, worker_id: UUID, outcomes: Sequence[rows.Outcome]) -> set[UUID]:
        released = self._rows(statements.RELEASE, _fenced(worker_id, outcomes))
        return {id for (id,) in released}

    def note_progress(
        self, worker_id: UUID, notes: Sequence[tuple[UUID, int, str]]
    ) -> None:
        values = {
            "worker": worker_id,
            "ids": params.array(id.hex for id, _, _ in notes),
            "attempts": params.array(attempt for _, attempt, _ in notes),
            "notes": f"[{','.join(text for _, _, text in notes)}]",
        }
        self._run(statements.NOTE_PROGRESS, values)

    def promote(self, limit: int) -> set[str]:
        return self._promoted(self._rows(statements.PROMOTE, {"limit": limit}))

    def queue_heads(self, unknown: Sequence[str] = ()) -> list[rows.QueueHead]:
        known, params = statements.KNOWN if unknown else "", {"unknown": list(unknown)}
        # Mostly there is one queue, or none: to plan the whole question takes longer
        # than to ask this one.
        first = self._rows(statements.FIRST_HEAD.format(known=known), params)
        if all(queue_name == last for queue_name, *_, last, _ in first):
            return [rows.QueueHead(*row[:-2]) for row in first if row[-1]]
        found = self._rows(QUEUE_HEADS.format(known=known), params)
        return [rows.QueueHead(*row) for row in found if row[-1] is not None]

    @property
    def can_notify(self) -> bool:
        return conf.current().notify

    def notify(self, queues: Iterable[str]) -> None:
        # The bare psycopg cursor: a hint is not a query of the project's, and is not
        # counted or logged as one. Its errors are psycopg's, wrapped as Django's.
        connection = connections[self.alias]
        connection.ensure_connection()
        with connection.wrap_database_errors:
            connection.connection.execute(statements.NOTIFY, [list(queues)])

    def listener(self) -> NullListener:
        if not self.can_notify:
            return NullListener()
        # Not at the top: it needs psycopg, which projects on SQLite do without.
        from dbqueue.dialects.postgresql.listener import PostgreSQLListener

        return PostgreSQLListener(self.alias)

    def poll_interval(self) -> float:
        seconds = conf.current().poll_interval
        return min(seconds, UNHEARD_POLL_INTERVAL) if self.can_notify else seconds

    def one_commit(self) -> AbstractContextManager[Any]:
        return transaction.atomic(using=self.alias)

    def is_missing_table(self, error: DatabaseError) -> bool:
        return params.sqlstate(error) == MISSING_TABLE

    def is_cancelled(self, error: Error) -> bool:
        return params.sqlstate(error) == CANCELLED

    def is_serialization_failure(self, error: Error) -> bool:
        return params.sqlstate(error) in SERIALIZATION_FAILURES

    def _row(self, sql: str, params: dict[str, Any]) -> tuple[Any, ...] | None:
        with self._cursor(params) as cursor:
            cursor.execute(sql, params)
            row: tuple[Any, ...] | None = cursor.fetchone()
        return row

    def _cursor(self, params: dict[str, Any]) -> AbstractContextManager[Any]:
        connection = connections[self.alias]
        raw = self._own.raw
        if raw is None or raw is not connection.connection or connection.queries_logged:
            return connection.cursor()
        if sum(len(value) for value in params.values() if type(value) is str) > LARGE:
            return self._own.cursor_for_large(connection)
        return self._own.cursor(connection)


def _stretch(target: rows.Target) -> tuple[str, str]:
    most = statements.ALL if target.most is None else statements.BOUNDED
    return _beyond(target), most


def _beyond(target: rows.Target) -> str:
    known = statements.KNOWN_THERE if target.unknown else ""
    if target.light:
        known += LIGHT
    if target.after is not None:
        return statements.BEYOND + known
    is_whole = target.lowest == rows.LOWEST and target.highest == rows.HIGHEST
    return known if is_whole else statements.LEVELS + known


def _seconds(keep: float | None) -> str:
    return "NULL" if keep is None else str(min(keep, rows.EVER))


def _fenced(worker_id: UUID, outcomes: Sequence[rows.Outcome]) -> dict[str, Any]:
    return {
        "worker": worker_id,
        "ids": params.array(o.id.hex for o in outcomes),
        "attempts": params.array(o.attempt for o in outcomes),
        "states": params.array(o.state for o in outcomes),
        "results": f"[{','.join(o.result or 'null' for o in outcomes)}]",
        "records": json.dumps([o.record for o in outcomes]),
        "failed": params.array(o.failed for o in outcomes),
        "delays": params.array(o.delay for o in outcomes),
        "durations": params.array(
            "NULL" if o.duration is None else o.duration for o in outcomes
        ),
    }
