"""The parent: forks keeper and children, replaces what dies, and stops everything.

It holds no database connection and no thread, so that what it forks, at the start or
after a crash, begins clean.
"""

import faulthandler
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from dbqueue.ids import uuid7
from dbqueue.worker.loop.worker import Worker
from dbqueue.worker.options import WorkerOptions
from dbqueue.worker.parent.keeper import QUIT, Keeper
from dbqueue.worker.parent.processes import (
    Family,
    Links,
    Place,
    fork,
    reason,
    send,
    unblock_signals,
)
from dbqueue.worker.parent.reload import RELOAD, ChangeWatcher
from dbqueue.worker.process.connections import close_all, set_connection_timeouts
from dbqueue.worker.process.pipes import WakePipe, wait
from dbqueue.worker.shared import ChildState, ExitReason, Phase

logger = logging.getLogger(__name__)

# Seconds after the grace period, or a second signal, until what is left is killed.
KILL_AFTER = 5.0
# Seconds between looks at deadlines that a child may have missed.
TICK = 0.25
WATCH_INTERVAL = 1.0  # seconds between looks for changed code


class Supervisor:
    """Runs `options.processes` children until a signal or, draining, until all is done.

    `run()` returns the exit code of the command: 0 after a graceful stop or a drain, 1
    if children had to be killed, RELOAD if the watcher saw a change.
    """

    def __init__(
        self, options: WorkerOptions, watcher: ChangeWatcher | None = None
    ) -> None:
        self._options = options
        self._watcher = watcher
        self._watch_at = 0.0
        self._parent = os.getppid()
        self._reloading = False
        places = options.threads + options.async_concurrency
        self._links = Links(options.processes, places)
        self._signals = WakePipe()
        self._family = Family(places=[Place() for _ in range(options.processes)])
        self._stops = self._announced = 0
        self._kill_at = float("inf")
        self._killed = False

    def run(self) -> int:
        close_all()
        set_connection_timeouts()
        # The descriptor wakes the loop; handlers run in the main thread, between steps.
        signal.set_wakeup_fd(self._signals.writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGQUIT, lambda *_: self._dump_stacks())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        while not self._is_over():
            self._links.heartbeat.beat()
            self._start_keeper()
            self._start_children()
            self._kill_overdue()
            self._watch()
            wait([self._signals], TICK)
            self._signals.drain()
            self._log_stop()
            self._reap()
        self._dismiss_keeper()
        # Python gives the default handlers back as it ends: a late signal would kill.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if self._reloading:
            return RELOAD
        return 1 if self._killed else 0

    def stop(self) -> None:
        """Stop gracefully; called again, stop now."""
        self._stops += 1
        patience = self._options.grace if self._stops == 1 else 0.0
        self._kill_at = time.monotonic() + patience + KILL_AFTER
        for place in self._family.children():
            self._tell_to_stop(place)

    def _dump_stacks(self) -> None:
        faulthandler.dump_traceback(all_threads=True)
        for place in self._family.children():
            send(place.pid, signal.SIGQUIT)

    def _tell_to_stop(self, place: Place) -> None:
        # TERM may reach a child twice, from here and from a stop of the whole group,
        # and means the same each time. "Now" is another signal.
        send(place.pid, signal.SIGTERM if self._stops == 1 else signal.SIGUSR1)

    def _fork(self, become: Callable[[], int]) -> int:
        # The child must not hold these open: their end shows that the parent exited.
        links = self._links
        return fork(become, close=(links.parent_pipe[1], links.orders.writer))

    def _be_keeper(self) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        unblock_signals()
        Keeper(self._options, self._links).run()
        return 0

    def _be_child(self, child: ChildState, notices: WakePipe) -> int:
        parent_pipe = self._links.parent_pipe[0]
        worker = Worker(self._options, child, notices=notices, parent_pipe=parent_pipe)
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        signal.signal(signal.SIGUSR1, lambda *_: worker.stop(now=True))
        unblock_signals()
        child.exit_reason = worker.run()
        return 0

    def _start_keeper(self) -> None:
        keeper, now = self._family.keeper, time.monotonic()
        if not keeper.pid and now >= keeper.start_at:
            keeper.started_at = now
            keeper.pid = self._fork(self._be_keeper)
            unblock_signals()

    def _start_children(self) -> None:
        for place in self._family.places:
            due = time.monotonic() >= place.start_at
            if place.pid or place.finished or self._stops or not due:
                continue
            free = self._links.free()
            if free is None:
                return  # the database is down, and the dead are not reaped yet
            child, notices = free
            child.open(uuid7())
            place.child, place.started_at = child, time.monotonic()
            place.pid = self._fork(partial(self._be_child, child, notices))
            child.fill(place.pid)
            unblock_signals()
            if self._stops:  # since the question above: stop() did not know this child
                self._tell_to_stop(place)
            self._links.orders.wake()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self._family.keeper.pid:
                self._keeper_changed(status)
            for place in self._family.places:
                if place.pid == pid:
                    self._child_changed(place, status)

    def _keeper_changed(self, status: int) -> None:
        if os.WIFSTOPPED(status):
            # Without heartbeats all leases run out; a new keeper is better than that.
            send(self._family.keeper.pid, signal.SIGKILL)
        elif not os.WIFCONTINUED(status):
            logger.error("The keeper ended (%s); starting another", reason(status))
            self._family.keeper.clear(ExitReason.NONE, time.monotonic())

    def _child_changed(self, place: Place, status: int) -> None:
        child = place.child
        assert child is not None
        if os.WIFSTOPPED(status):
            child.phase = Phase.FROZEN
        elif os.WIFCONTINUED(status):
            if child.phase is Phase.FROZEN:
                child.phase = Phase.LIVE
        else:
            if child.phase not in (Phase.OVERDUE, Phase.CUT_SHORT):
                child.phase = Phase.DEAD
            self._links.orders.wake()
            crashed = place.clear(child.exit_reason, time.monotonic())
            self._family.crashed |= crashed
            if crashed and not self._stops:
                # Each job that it fails by that has an ERROR of its own.
                logger.warning("A child ended (%s); starting another", reason(status))

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for place in self._family.children():
            child = place.child
            assert child is not None
            if child.kill_at and now > child.kill_at:
                message = "Child %s hangs in a job past its timeout, or in an import"
                logger.warning(message, place.pid)
                child.phase = Phase.OVERDUE
                send(place.pid, signal.SIGKILL)
            elif now > self._kill_at:
                self._killed = True
                child.phase = Phase.CUT_SHORT
                send(place.pid, signal.SIGKILL)

    def _watch(self) -> None:
        now = time.monotonic()
        if self._watcher is None or self._stops or now < self._watch_at:
            return
        self._watch_at = now + WATCH_INTERVAL
        if os.getppid() != self._parent:
            self.stop()  # the process that would restart this worker has exited
        if self._watcher.changed():
            logger.info("The code changed; restarting after the running jobs")
            self._reloading = True
            self.stop()

    def _is_over(self) -> bool:
        if self._family.children():
            return False
        reaped = self._links.all_reaped()
        return bool(self._stops) or self._family.has_drained(reaped=reaped)

    def _dismiss_keeper(self) -> None:
        keeper = self._family.keeper
        keeper.start_at = 0.0
        self._start_keeper()  # if there is none: it has the dead to reap
        self._links.orders.wake(QUIT)
        deadline = time.monotonic() + KILL_AFTER
        while time.monotonic() < deadline:
            self._links.heartbeat.beat()
            with suppress(ChildProcessError):
                pid, _ = os.waitpid(keeper.pid, os.WNOHANG)
                if not pid:
                    wait([self._signals], 0.05)
                    self._signals.drain()
                    continue
            return
        send(keeper.pid, signal.SIGKILL)

    def _log_stop(self) -> None:
        # Not in stop(): a signal handler may interrupt another line of the log.
        if self._stops > self._announced:
            self._announced = self._stops
            patience = max(0.0, self._kill_at - KILL_AFTER - time.monotonic())
            logger.info("Stopping; running jobs have %.0f s left", patience)
