"""uWSGI's module of this name, as far as it is about work in the background.

The documentation lists what is supported, what differs, and what is refused.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from django.apps import apps

from dbqueue import signals
from dbqueue.compat.spooler import bodies, functions, handle, hook, refused
from dbqueue.compat.spooler import signals as numbers
from dbqueue.compat.spooler.endings import SPOOL_IGNORE as SPOOL_IGNORE
from dbqueue.compat.spooler.endings import SPOOL_OK as SPOOL_OK
from dbqueue.compat.spooler.endings import SPOOL_RETRY as SPOOL_RETRY
from dbqueue.compat.spooler.endings import frequency
from dbqueue.compat.spooler.handle import SpoolHandle
from dbqueue.compat.spooler.locks import acquire, is_taken, release
from dbqueue.compat.spooler.message import raw
from dbqueue.tasks import context

# What code asks before it decorates: there is a master, and a spooler.
opt: dict[str, bytes] = {"spooler": b"default", "master": b"true"}
version = b"dbqueue"
numproc = 1
cores = 1
applications: dict[str, Any] = {}
# Hooks that a project may set: what gets messages that name no function, and what is
# called in each process of a worker.
spooler: Callable[[dict[Any, Any]], Any] | None = None
post_fork_hook: Callable[[], Any] | None = None


def spool(message: Mapping[Any, Any] | None = None, /, **more: Any) -> SpoolHandle:
    """Write a job of a message, a dict, in the transaction that is open.

    The function that `ud_spool_func` names gets it, or the hook `spooler`. Returns the
    name of the job. Raises as calls of a function of @spoolraw do.
    """
    given = {**(message or {}), **(more.pop("message_dict", None) or {}), **more}
    name = given.pop("ud_spool_func", given.pop(b"ud_spool_func", None))
    if name is None:
        return hook.unnamed.send(given)
    text = name.decode() if isinstance(name, bytes) else str(name)
    found = functions.named(text)
    if found is None:
        raise ValueError(
            f"ud_spool_func={text!r}: no module that is imported here has a spool "
            "function of this name."
        )
    return found.send(given)


send_to_spooler = spool


def spooler_jobs() -> list[SpoolHandle]:
    """Return the names of the spooled jobs that have not ended, the oldest first."""
    rows = _unfinished(task__in=functions.paths()).order_by("enqueued_at", "pk")
    return [handle.of_job(pk) for pk in rows.values_list("pk", flat=True)]


def spooler_get_task(name: Any) -> dict[Any, Any] | None:
    """Return the message of a job that waits, as bytes; None if it runs, or is none."""
    id = handle.id_of(name)
    if not id:
        return None
    row = _unfinished(pk=id).exclude(state="RUNNING").first()
    found = None if row is None else functions.at(row.task)
    if row is None or found is None:
        return None
    args = row.args if isinstance(row.args, list) else []
    body = bodies.read(_alias(), id) if len(args) > 1 else None
    told = found.told(args[0] if args else {}, handle.of_job(id).decode(), body)
    return raw(told)


def set_spooler_frequency(seconds: float) -> None:
    """Set, for this process and what it forks, how soon SPOOL_RETRY runs a job again.

    In a module `tasks`, it counts in all workers; so does SPOOLER_FREQUENCY.
    """
    if not seconds > 0:
        raise ValueError(f"The frequency is {seconds!r}; it must be above 0 seconds.")
    frequency.own = float(seconds)


def i_am_the_spooler() -> bool:
    """Tell whether a job runs here."""
    return context.running.get(None) is not None


def spooler_pids() -> list[int]:
    """Return the processes of live workers, over all hosts."""
    workers = apps.get_model("dbqueue", "Worker").objects.using(_alias())
    return list(workers.values_list("pid", flat=True))


def spooler_pid() -> int:
    """Return the first of spooler_pids(), or 0."""
    return next(iter(spooler_pids()), 0)


def signal(number: int, *remote: Any) -> None:
    """Run the handler of a signal as a job."""
    if remote:
        refused.refusal("uwsgi", "signal of a remote node", "Workers share jobs.")()
    numbers.of(number).send()


def register_signal(number: int, target: str, handler: Callable[[int], Any]) -> None:
    """See @signal."""
    numbers.register(number, target, handler)


def signal_registered(number: int) -> bool:
    return number in numbers.registered


def add_timer(number: int, seconds: float) -> None:
    """See @timer."""
    numbers.recur(numbers.of(number), numbers.every(seconds))


def add_rb_timer(number: int, seconds: float, iterations: int = 0) -> None:
    """See @rbtimer."""
    times = numbers.every(seconds)
    numbers.recur(numbers.of(number), times, iterations or None)


def add_cron(
    number: int, minute: int, hour: int, day: int, month: int, weekday: int
) -> None:
    """See @cron."""
    times = numbers.cron(minute, hour, day, month, weekday)
    numbers.recur(numbers.of(number), times)


def lock(number: int = 0) -> None:
    """Wait for a lock of this host, and take it."""
    acquire(number)


def unlock(number: int = 0) -> None:
    """Give a lock back."""
    release(number)


def is_locked(number: int = 0) -> bool:
    """Tell whether a lock of this host is taken."""
    return is_taken(number)


def masterpid() -> int:
    """Return the process that has started this one."""
    return os.getppid()


def worker_id() -> int:
    """Return 0: as a spooler, no process here is a numbered worker."""
    return 0


mule_id = worker_id


def log(message: str) -> bool:
    """Print a line to standard error."""
    os.write(2, f"{message}\n".encode())
    return True


def _alias() -> str:
    return str(_backend().database)


def _backend() -> Any:
    task = hook.unnamed.job or hook.unnamed.declare()
    return task.get_backend()


def _unfinished(**conditions: Any) -> Any:
    rows = apps.get_model("dbqueue", "Job").objects.using(_alias())
    return rows.filter(**conditions)


def _run_post_fork_hook(**event: Any) -> None:
    if post_fork_hook is not None:
        post_fork_hook()


signals.worker_ready.connect(_run_post_fork_hook, dispatch_uid=__name__)


def __getattr__(name: str) -> Any:
    if name in ("spoolers", "spooler_dir"):
        known = tuple(sorted(_backend().queues)) or ("default",)
        return known if name == "spoolers" else lambda: known[0]
    if name in refused.FUNCTIONS:
        return refused.refusal("uwsgi", name, refused.FUNCTIONS[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
