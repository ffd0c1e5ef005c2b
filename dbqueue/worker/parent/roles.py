"""What the forked processes become: the keeper, or a child."""

import gc
import logging
import threading
from collections.abc import Sequence

from dbqueue.worker.loop.worker import Worker
from dbqueue.worker.options import WorkerOptions
from dbqueue.worker.parent.keeper import Keeper
from dbqueue.worker.parent.processes import Links
from dbqueue.worker.process import clients, programs, signals
from dbqueue.worker.process.pipes import WakePipe
from dbqueue.worker.shared import ChildState

logger = logging.getLogger(__name__)

# Libraries whose threads start again by themselves, in the process that needs them.
_MINDFUL = ("sentry",)


def be_keeper(options: WorkerOptions, links: Links) -> int:
    _begin(links, None)
    signals.ignore_stops()
    signals.let_through()
    Keeper(options, links).run()
    return 0


def be_child(
    options: WorkerOptions, links: Links, child: ChildState, notices: WakePipe
) -> int:
    _begin(links, notices)
    programs.lead()
    clients.announce()
    handlers = signals.ChildSignals(programs.Adopted().reap)
    worker = Worker(options, child, notices=notices, parent_pipe=links.parent_pipe[0])
    handlers.hand_to(worker)
    child.exit_reason = worker.run()
    return 0


def _begin(links: Links, notices: WakePipe | None) -> None:
    links.keep(notices)
    # A garbage collection writes into each object that it looks at: what was imported
    # before the fork would then be in the memory of each process once more.
    gc.freeze()


def warn_of_threads(before: Sequence[threading.Thread]) -> None:
    """Name the threads that ran in the parent, and that a fork does not take along.

    To be called in a child: some libraries start theirs again.
    """
    here = {thread.name for thread in threading.enumerate()}
    for thread in before:
        if thread.name not in here and not thread.name.startswith(_MINDFUL):
            target = getattr(thread, "_target", None)
            origin = getattr(target, "__module__", None) or type(thread).__module__
            logger.warning(
                "Thread %r of %s was started while the project was imported. It runs "
                "in no process that runs jobs; start it where it is first used",
                thread.name,
                origin,
            )
