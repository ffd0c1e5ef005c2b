"""Faults at random, each undone after a while; for tests.faults.soak."""

import os
import signal
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from threading import Timer

import psycopg
from django.db import connection

from tests.settings import url
from tests.support.processes import QUICK, send

LEASE = QUICK["LEASE"]
DAWDLE = """
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql
AS 'BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END';
CREATE TRIGGER dawdle BEFORE UPDATE ON dbqueue_job
FOR EACH STATEMENT EXECUTE FUNCTION dawdle()
"""
UNDAWDLE = "DROP FUNCTION IF EXISTS dawdle CASCADE"


class Mayhem:
    """Does harm to workers, and to what connects them with the database."""

    def __init__(self, rng, meddler, disk, clock):
        self.done = {}  # how often, by the name of the fault
        self._rng = rng
        self._meddler = meddler  # None on SQLite
        self._disk = disk  # that of the workers' logs and temporary files
        self._clock = clock  # of some of the workers; None where none can be faked
        self._timers = []
        self._faults = [self.kill, self.freeze, self.stop, self.interrupt]
        self._faults += [self.fill_disk, *([self.step_clock] if clock else [])]
        if meddler:
            self._faults += [self.terminate, self.cut, self.lose_answers, self.slow]
            self._faults += [self.mute, self.refuse, self.lock_table, self.dawdle]
        else:
            self._faults += [self.lock, self.look]

    def strike(self, workers):
        """Do one thing to one of the workers."""
        fault = self._rng.choice(self._faults)
        self.done[fault.__name__] = self.done.get(fault.__name__, 0) + 1
        fault(self._rng.choice(workers))

    def undo(self):
        """Undo at once what is not undone yet."""
        timers, self._timers = self._timers, []
        for timer in timers:
            timer.cancel()
            timer.function()

    def _later(self, seconds, function):
        # In a thread of its own: we may ourselves wait for what is to be undone.
        timer = Timer(seconds, function)
        timer.start()
        self._timers.append(timer)

    # Processes

    def kill(self, worker):
        """One child or the keeper, the supervisor, or all at once."""
        whom = self._rng.choice(["below", "below", "below", "supervisor", "all"])
        family = sorted(worker.below()) or [worker.pid]
        victims = {
            "below": [self._rng.choice(family)],
            "supervisor": [worker.pid],
            "all": [worker.pid, *family],
        }
        for pid in victims[whom]:
            send(pid, signal.SIGKILL)

    def freeze(self, worker):
        """Past the lease, or for a moment; the supervisor, or one below it."""
        pid = self._rng.choice([worker.pid, *sorted(worker.below())])
        send(pid, signal.SIGSTOP)
        seconds = self._rng.choice([0.5, LEASE + 2])
        self._later(seconds, lambda: send(pid, signal.SIGCONT))

    def stop(self, worker):
        send(worker.pid, signal.SIGTERM)

    def interrupt(self, worker):
        for pid in (worker.pid, *worker.below()):
            send(pid, signal.SIGINT)
        send(worker.pid, signal.SIGINT)

    # The workers' host

    def fill_disk(self, worker):
        self._disk.fill()
        self._later(3.0, self._make_room)

    def _make_room(self):
        with suppress(FileNotFoundError):  # made by another before
            self._disk.make_room()

    def step_clock(self, worker):
        self._clock.step_to(self._rng.choice(["+3600", "-3600", "+60", "-60"]))
        self._later(5.0, lambda: self._clock.step_to("+0"))

    # Connections

    def terminate(self, worker):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                " datname = current_database() AND pid <> pg_backend_pid()"
                " AND random() < %s",
                [self._rng.choice([0.2, 1.0])],
            )

    def cut(self, worker):
        self._meddler.cut()

    def mute(self, worker):
        self._meddler.mute()
        # What a job had open is the job's: nobody else would ever end it.
        self._later(20.0, self._meddler.cut_muted)

    def lose_answers(self, worker):
        texts = ["picked AS MATERIALIZED", "DELETE FROM dbqueue_job AS j USING"]
        self._meddler.cut_answers_to(self._rng.choice(texts), times=3)

    def slow(self, worker):
        self._meddler.delay = self._rng.choice([0.02, 0.2])
        self._later(2.0, self._speed_up)

    def _speed_up(self):
        self._meddler.delay = 0.0

    def refuse(self, worker):
        self._meddler.refused.clear()
        sqlstates = ["40001", "40P01", "55P03", "57014", "25006", "53100"]
        self._meddler.refuse(self._rng.choice(sqlstates), times=1)
        self._later(2.0, lambda: self._meddler.refuse(None, times=0))

    # What a migration or a slow disk does to everybody

    def lock_table(self, worker):
        """As CREATE INDEX, or as VACUUM FULL; for a moment, or past all patience."""
        table = self._rng.choice(["job", "finishedjob", "worker"])
        mode = self._rng.choice(["SHARE", "ACCESS EXCLUSIVE"])
        raw = psycopg.connect(url(connection.settings_dict))
        try:
            raw.execute("SET LOCAL lock_timeout = '1s'")
            raw.execute(f"LOCK TABLE dbqueue_{table} IN {mode} MODE")
        except psycopg.errors.LockNotAvailable:
            raw.close()
            return
        self._later(self._rng.choice([0.5, 14.0]), raw.close)

    def dawdle(self, worker):
        """Let each claim of a job take seconds, some of them too many."""
        raw = psycopg.connect(url(connection.settings_dict), autocommit=True)
        try:
            raw.execute("SET lock_timeout = '1s'")
            raw.execute(DAWDLE.format(seconds=self._rng.choice([1.0, 9.0])))
        except psycopg.Error:  # it waited, or another has done the same
            raw.close()
            return
        raw.close()

        def undo():  # perhaps twice; and `terminate` may have met any session
            with psycopg.connect(url(connection.settings_dict)) as another:
                another.execute(UNDAWDLE)

        self._later(12.0, undo)

    # SQLite

    def lock(self, worker):
        try:
            raw = self._raw("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:  # somebody else is long enough about it
            return
        self._later(self._rng.choice([0.2, 2.0]), raw.close)

    def look(self, worker):
        raw = self._raw("BEGIN")
        raw.execute("SELECT count(*) FROM dbqueue_job").fetchone()
        self._later(3.0, raw.close)

    def _raw(self, statement):
        name = connection.settings_dict["NAME"]
        raw = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
        raw.execute(statement)
        return raw


# What is looked at between two rounds


def resident(workers):
    """Return the bytes of memory that the workers' processes have."""
    pages = 0
    for pid in {pid for worker in workers for pid in worker.family()}:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:  # it has just ended
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def sizes():
    """Return the bytes that the tables take, by name."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname, pg_total_relation_size(oid) FROM pg_class"
                " WHERE relname IN ('dbqueue_job', 'dbqueue_finishedjob')"
            )
            return dict(cursor.fetchall())
    name = connection.settings_dict["NAME"]
    with closing(sqlite3.connect(name)) as raw:
        pages, free = (
            raw.execute(f"PRAGMA {what}").fetchone()[0]
            for what in ("page_count", "freelist_count")
        )
    return {"pages in use": (pages - free) * 4096}
