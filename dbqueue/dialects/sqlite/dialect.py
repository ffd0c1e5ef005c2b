"""The moves of a job on SQLite, whose clock is that of its only host."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, Error
from django.db.models import DateTimeField, Value
from django.utils import timezone

from dbqueue import conf
from dbqueue.dialects import rows
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.listener import NullListener
from dbqueue.dialects.sqlite import statements
from dbqueue.dialects.sqlite.listener import SQLiteListener
from dbqueue.dialects.sqlite.placing import SQLitePlacing
from dbqueue.dialects.sqlite.rare import as_id
from dbqueue.dialects.sqlite.session import SQLiteSession, watch_driver
from dbqueue.dialects.sqlite.settings import check
from dbqueue.dialects.sqlite.timestamps import Timestamps
from dbqueue.dialects.sqlite.turns import PATIENCE, Turns
from dbqueue.dialects.statements import FORGET_KNOWN, QUEUE_HEADS


class SQLite(SQLitePlacing):
    name = "sqlite"

    session = SQLiteSession
    check = staticmethod(check)
    prepare = staticmethod(watch_driver)

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self._times = Timestamps(alias)
        self._turns = Turns()
        if sqlite3.sqlite_version_info < (3, 35):
            raise ImproperlyConfigured(
                f"This Python has SQLite {sqlite3.sqlite_version}; dbqueue needs 3.35."
            )

    def take(
        self, targets: Sequence[rows.Target], worker_id: UUID, limit: int
    ) -> list[ClaimedJob]:
        jobs: list[ClaimedJob] = []
        for target in targets:
            params: dict[str, Any] = {
                "queue": target.queue,
                "lowest": target.lowest,
                "highest": target.highest,
                "worker": worker_id.hex,
            }
            known = statements.LIGHT if target.light else ""
            if target.unknown:
                known += statements.KNOWN
                params["unknown"] = json.dumps(target.unknown)
            if (
                len(jobs) < limit
                and self._rows(statements.PEEK.format(known=known), params)
                and (target.most is None or self.within([target]))
            ):
                params["limit"] = limit - len(jobs)
                sql = statements.TAKE.format(known=known)
                jobs += self._take(sql, params, target)
        return jobs

    def _take(
        self, sql: str, params: dict[str, Any], target: rows.Target
    ) -> list[ClaimedJob]:
        with self.one_commit():
            if target.most is not None:
                free = self.places({target.queue: target.most})[target.queue]
                params["limit"] = max(0, min(params["limit"], free))
            # Now that the lock is ours: a moment from before a wait would be past.
            params["now"] = self._times.now()
            taken = self._rows(sql, params)
        # Jobs that are claimed together share most of their moments.
        read = cache(self._times.read)
        try:
            return [_claimed(row, read) for row in taken]
        except (TypeError, ValueError, OverflowError):  # one of them was damaged
            return [self._salvaged(row) for row in taken]

    def forget_known(self, worker_id: UUID) -> None:
        self._run(FORGET_KNOWN, {"worker": worker_id.hex})

    def finish(self, worker_id: UUID, outcomes: Sequence[rows.Outcome]) -> set[UUID]:
        return self._recorded(
            [statements.FINISH, statements.REMOVE], worker_id, outcomes
        )

    def release(self, worker_id: UUID, outcomes: Sequence[rows.Outcome]) -> set[UUID]:
        return self._recorded([statements.RELEASE], worker_id, outcomes)

    def note_progress(
        self, worker_id: UUID, notes: Sequence[tuple[UUID, int, str]]
    ) -> None:
        with self._each() as change:
            for id, attempt, text in notes:
                fence = {"id": id.hex, "attempt": attempt, "worker": worker_id.hex}
                change(statements.NOTE_PROGRESS, fence | {"result": text})

    def promote(self, limit: int) -> set[str]:
        params = {"limit": limit, "now": self._times.now()}
        return self._promoted(self._rows(statements.PROMOTE, params))

    def queue_heads(self, unknown: Sequence[str] = ()) -> list[rows.QueueHead]:
        known = statements.KNOWN if unknown else ""
        params = {"unknown": json.dumps(unknown)}
        found = self._rows(QUEUE_HEADS.format(known=known), params)
        return [
            rows.QueueHead(queue, priority, *self._place(since, id))
            for queue, priority, since, id in found
            if isinstance(queue, str) and isinstance(priority, int)
        ]

    def clock(self) -> Any:
        # Django's Now() is UTC here, also where USE_TZ keeps local time in columns.
        return Value(timezone.now(), output_field=DateTimeField())

    @contextmanager
    def one_commit(self) -> Iterator[None]:
        connection = self.connection
        connection.ensure_connection()
        if connection.connection.in_transaction:
            yield  # the transaction around it commits it
            return
        # A deferred transaction that reads first cannot become a writer once another
        # process has written: SQLite answers "locked" at once, without waiting.
        with connection.cursor() as cursor, self._turns.turn(connection):
            try:
                yield
                cursor.execute("COMMIT")
            except BaseException:
                if connection.connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise

    def listener(self) -> NullListener:
        wrapper: Any = self.connection
        if wrapper.is_in_memory_db():
            return NullListener()
        return SQLiteListener(self.alias, conf.current().sqlite_poll_interval)

    def poll_interval(self) -> float:
        return conf.current().sqlite_poll_interval

    def execute_raw(self, sql: str, params: Sequence[Any]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)

    def limit_waiting(self, seconds: float) -> None:
        self._run(PATIENCE.format(milliseconds=int(seconds * 1000)), {})

    def is_busy(self, error: DatabaseError) -> bool:
        return "locked" in str(error)

    def is_short_of_room(self, error: Error) -> bool:
        # A large statement keeps aside in a temporary file what it changes.
        return "disk is full" in str(error)

    @staticmethod
    def driver_is_idle(raw: Any) -> bool:
        try:
            return not raw.in_transaction
        except sqlite3.ProgrammingError:  # it is closed
            return False

    def is_missing_table(self, error: DatabaseError) -> bool:
        return "no such table" in str(error)

    def _recorded(
        self, moves: Sequence[str], worker_id: UUID, outcomes: Sequence[rows.Outcome]
    ) -> set[UUID]:
        recorded = set()
        now, worker = self._times.now(), worker_id.hex
        with self._each() as change:
            for outcome in outcomes:
                values = self._document(outcome)
                values |= {"worker": worker, "now": now}
                kept, *gone = [change(move, values) for move in moves]
                if kept or any(gone):
                    recorded.add(outcome.id)
                if not kept and any(gone):
                    rows.warn_of_drop(outcome.id)
        return recorded

    @contextmanager
    def _each(self) -> Iterator[Callable[[str, dict[str, Any]], int]]:
        """Give what makes one of many changes, all in one commit, and counts its rows.

        It is the bare cursor of sqlite3, which keeps the statement prepared: a row
        takes it a few microseconds, and Django's twice as long.
        """
        connection = self.connection
        # Of an atomic job that swallowed an error; the bare cursor would not ask.
        connection.validate_no_broken_transaction()
        with self.one_commit(), connection.wrap_database_errors:
            execute = connection.connection.cursor().execute
            yield lambda sql, values: int(execute(sql, values).rowcount)

    def _document(self, outcome: rows.Outcome) -> dict[str, Any]:
        record, keep = outcome.record, outcome.keep
        return {
            "id": outcome.id.hex,
            "attempt": outcome.attempt,
            "state": outcome.state,
            "result": outcome.result,
            "record": None if record is None else json.dumps(record),
            "failed": outcome.failed,
            "due": self._times.now(outcome.delay) if outcome.delay > 0 else None,
            "duration": outcome.duration,
            "kept": None if keep is None else self._times.now(min(keep, rows.EVER)),
        }


def _claimed(row: tuple[Any, ...], read: Callable[[Any], Any]) -> ClaimedJob:
    id, *rest = row[:-5]
    return ClaimedJob(*(as_id(id), *rest, *map(read, row[-5:-1]), row[-1]))
