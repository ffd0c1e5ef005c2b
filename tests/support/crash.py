"""Processes that die by SIGKILL after their n-th statement.

Statements are counted where the driver sends them, BEGIN, COMMIT and savepoints
included, so that a process dies before its COMMIT as well as after it, with an answer
that nobody uses.
"""

import os
import signal
import traceback

from django.db import connection
from django.db.backends.signals import connection_created

from tests.support.processes import wait_until


def dies_after(statement, operation):
    """Run the operation in a process that dies after so many statements.

    Return False if it came to its end before. Whatever is committed then, is; what is
    not, is rolled back.
    """
    connection.close()  # it cannot be shared with a fork
    pid = os.fork()
    if not pid:
        _run(statement, operation)
    _, status = os.waitpid(pid, 0)
    died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert died or status == 0, "the operation failed; see the captured output"
    wait_until(_is_alone, "the server has noticed the death")
    return died


def _run(statement, operation):
    counter = _Counter(statement)
    try:
        connection_created.connect(counter.watch)
        connection.ensure_connection()
        counter.begin()
        operation()
        counter.end()
        os._exit(0)
    except BaseException:  # nothing of pytest may go on in this process
        traceback.print_exc()
        os._exit(1)


class _Counter:
    def __init__(self, limit):
        self._limit = limit
        self._count = None

    def begin(self):
        if connection.vendor == "postgresql":
            self._watch_psycopg()
        self._count = 0

    def watch(self, connection, **kwargs):
        if connection.vendor == "sqlite" and connection.alias == "default":
            # It is called before the statement, as if after the one before.
            connection.connection.set_trace_callback(self._before)

    def end(self):
        """Die after the last statement, too."""
        if self._count >= self._limit:
            _die()

    def _before(self, sql):
        if self._count is not None:
            self.end()
            self._count += 1

    def _after(self):
        self._count += 1
        self.end()

    def _watch_psycopg(self):
        import psycopg

        execute = psycopg.Cursor.execute
        command = psycopg.Connection._exec_command
        after = self._after

        def counted_execute(cursor, *args, **kwargs):
            answer = execute(cursor, *args, **kwargs)
            after()
            return answer

        def counted_command(connection, *args, **kwargs):
            answer = yield from command(connection, *args, **kwargs)
            after()
            return answer

        psycopg.Cursor.execute = counted_execute
        psycopg.Connection._exec_command = counted_command


def _die():
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def _is_alone():
    if connection.vendor == "sqlite":
        return True  # its locks went with the process
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) = 0 FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone()[0]
