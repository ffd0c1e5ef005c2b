"""The parent: forks keeper and children, replaces what dies, and stops everything.

It holds no database connection and no thread, so that what it forks, at the start or
after a crash, begins clean.
"""

import faulthandler
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Thread

from dbqueue.ids import uuid7
from dbqueue.worker.options import WorkerOptions
from dbqueue.worker.parent.keeper import QUIT
from dbqueue.worker.parent.orders import quiet
from dbqueue.worker.parent.processes import (
    Family,
    Links,
    Place,
    fork,
    news_of,
    reason,
    send,
)
from dbqueue.worker.parent.reload import ChangeWatcher
from dbqueue.worker.parent.roles import be_child, be_keeper, warn_of_threads
from dbqueue.worker.parent.stopping import KILL_AFTER, Stopping, kill_overdue
from dbqueue.worker.process import programs, signals, streams, terminal
from dbqueue.worker.process.connections import close_all, prepare_connections
from dbqueue.worker.process.pipes import WakePipe, wait
from dbqueue.worker.shared import ChildState, ExitReason, Phase

logger = logging.getLogger(__name__)

# Seconds between looks at deadlines that a child may have missed.
TICK = 0.25
WATCH_INTERVAL = 1.0  # seconds between looks for changed code


class Supervisor:
    """Runs `options.processes` children until a signal or, draining, until all is done.

    `run()` returns the exit code of the command: 0 after a graceful stop or a drain, 1
    if children had to be killed or could not even start, RELOAD if the watcher saw a
    change, or at HUP with `restart`. `threads` are those that importing the project
    has started: the first child tells which of them it lacks. `is_left` tells whether
    the process has ended beside which this one is to work.
    """

    def __init__(
        self,
        options: WorkerOptions,
        watcher: ChangeWatcher | None = None,
        *,
        restart: bool = False,
        threads: Sequence[Thread] = (),
        is_left: Callable[[], bool] | None = None,
    ) -> None:
        self._options = options
        self._watcher = watcher
        self._restart_at_hangup = restart
        self._threads = threads
        self._watch_at = 0.0
        self._is_left = is_left
        if watcher is not None and is_left is None:
            # The process that would restart this worker.
            parent = os.getppid()
            self._is_left = lambda: os.getppid() != parent
        self._links = Links(options.processes, options.places)
        self._signals = WakePipe()
        self._family = Family(places=[Place() for _ in range(options.processes)])
        self._stopping = Stopping(options.grace)
        self._failed = False

    def run(self) -> int:
        close_all()
        prepare_connections()
        self._terminal = terminal.foreground()
        self._orphans = programs.Orphans(self._family.pids)
        programs.adopt()
        self._handle_signals()
        while not self._is_over():
            self._links.heartbeat.beat()
            self._start_keeper()
            self._start_children()
            self._failed |= kill_overdue(self._family.children(), self._stopping)
            self._watch()
            wait([self._signals], TICK)
            self._signals.drain()
            self._stopping.log()
            self._reap()
        self._dismiss_keeper()
        signal.set_wakeup_fd(-1)
        self._signals.close()
        self._links.close()
        return self._stopping.concluded(failed=self._failed)

    def _handle_signals(self) -> None:
        # The descriptor wakes the loop; handlers run in the main thread, between steps.
        signal.set_wakeup_fd(self._signals.writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, signals.do_nothing)
        signal.signal(signal.SIGQUIT, lambda *_: self._dump_stacks())
        signal.signal(signal.SIGUSR2, lambda *_: quiet(self._links.children, True))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        restart = self._restart_at_hangup
        if restart or not signals.is_unheard(signal.SIGHUP):
            signal.signal(signal.SIGHUP, lambda *_: self._stop_once(restart=restart))

    def stop(self) -> None:
        """Stop gracefully; called again, stop now."""
        if self._stopping.request():
            self._tell_to_stop(self._family.children())

    def _stop_once(self, *, restart: bool) -> None:
        # A terminal that closes may send HUP twice, and systemd after a TERM.
        if self._stopping.request_once(restart=restart):
            self._tell_to_stop(self._family.children())

    def _dump_stacks(self) -> None:
        faulthandler.dump_traceback(streams.number_of_stderr(), all_threads=True)
        for place in self._family.children():
            send(place.pid, signal.SIGQUIT)

    def _tell_to_stop(self, places: Iterable[Place]) -> None:
        # TERM may reach a child twice, from here and from a stop of all processes, and
        # means the same each time. "Now" is another signal.
        number = signal.SIGTERM if self._stopping.requests == 1 else signal.SIGUSR1
        for place in places:
            send(place.pid, number)

    def _start_keeper(self) -> None:
        keeper, now = self._family.keeper, time.monotonic()
        if not keeper.pid and now >= keeper.start_at:
            keeper.started_at = now
            self._fork(keeper, lambda: be_keeper(self._options, self._links))
            signals.let_through()

    def _start_children(self) -> None:
        for place in self._family.places:
            due = time.monotonic() >= place.start_at
            if place.pid or place.finished or self._stopping.requests or not due:
                continue
            free = self._links.free()
            if free is None:
                return  # the database is down, and the dead are not reaped yet
            self._start_child(place, *free)

    def _start_child(self, place: Place, child: ChildState, notices: WakePipe) -> None:
        def become() -> int:
            warn_of_threads(self._threads)
            return be_child(self._options, self._links, child, notices)

        child.open(uuid7())
        place.child, place.verdict = child, Phase.DEAD
        place.started_at = time.monotonic()
        if not self._fork(place, become):
            return
        self._threads = ()
        child.fill(place.pid)
        signals.let_through()
        if self._stopping.requests:  # since it was asked for: stop() did not know it
            self._tell_to_stop([place])
        self._links.orders.wake()

    def _fork(self, place: Place, become: Callable[[], int]) -> bool:
        try:
            place.pid = fork(become, self._links, group=place.child is not None)
        except OSError as error:
            self._ended(place, ExitReason.NONE, f"no fork: {error}", worked=False)
        return bool(place.pid)

    def _reap(self) -> None:
        for place in (self._family.keeper, *self._family.places):
            while place.pid and (status := news_of(place.pid)) is not None:
                if place.child is None:
                    self._keeper_changed(place, status)
                else:
                    self._child_changed(place, place.child, status)
        self._orphans.end()

    def _keeper_changed(self, keeper: Place, status: int) -> None:
        if os.WIFSTOPPED(status):
            # Without heartbeats all leases run out; a new keeper is better than that.
            send(keeper.pid, signal.SIGKILL)
        elif not os.WIFCONTINUED(status):
            worked = any(c.beat > keeper.started_at for c in self._links.children)
            why = reason(status, self._links.said())
            self._ended(keeper, ExitReason.NONE, why, worked=worked)

    def _child_changed(self, place: Place, child: ChildState, status: int) -> None:
        if os.WIFSTOPPED(status):
            child.phase = Phase.FROZEN
        elif os.WIFCONTINUED(status):
            place.thawed_at = time.monotonic()
            if child.phase is Phase.FROZEN:
                child.phase = Phase.LIVE
        else:
            # Before its jobs may run again.
            programs.kill_group(place.pid)
            self._orphans.end()
            terminal.give_back(place.pid, self._terminal)
            child.phase = place.verdict
            self._links.orders.wake()
            why, busy = reason(status, self._links.said()), bool(child.running())
            how = {"worked": child.has_begun, "at_work": busy}
            self._ended(place, child.exit_reason, why, **how)

    def _ended(self, place: Place, exit: ExitReason, why: str, **how: bool) -> None:
        crashed = place.clear(exit, time.monotonic(), **how)
        self._family.crashed |= crashed and place.child is not None
        if crashed and not self._stopping.requests:
            place.log_crash(why)
            self._failed = place.is_hopeless
        if self._failed or exit is ExitReason.WORN_OUT:
            self._stop_once(restart=False)

    def _watch(self) -> None:
        now = time.monotonic()
        if self._is_left is None or self._stopping.requests or now < self._watch_at:
            return
        self._watch_at = now + WATCH_INTERVAL
        if self._is_left():
            self.stop()
        elif self._watcher is not None and self._watcher.changed():
            logger.info("The code changed; restarting after the running jobs")
            self._stop_once(restart=True)

    def _is_over(self) -> bool:
        if self._family.children():
            return False
        reaped = self._links.all_reaped()
        return bool(self._stopping.requests) or self._family.has_drained(reaped=reaped)

    def _dismiss_keeper(self) -> None:
        keeper = self._family.keeper
        keeper.start_at = 0.0
        self._start_keeper()  # if there is none: it has the dead to reap
        self._links.orders.wake(QUIT)
        deadline = time.monotonic() + KILL_AFTER
        while keeper.pid and news_of(keeper.pid) is None:
            if time.monotonic() > deadline:
                send(keeper.pid, signal.SIGKILL)
            self._links.heartbeat.beat()
            wait([self._signals], 0.05)
            self._signals.drain()
