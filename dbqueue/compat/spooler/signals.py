"""uWSGI's signals: numbers with a handler, which a call or a schedule runs as a job."""

from collections.abc import Callable
from typing import Any

from dbqueue import Cadence, Every, enqueue, schedule
from dbqueue import task as declare
from dbqueue.compat.spooler import message
from dbqueue.compat.spooler.cadences import UwsgiCron
from dbqueue.compat.spooler.declaring import is_installed, warn_once, when_ready

Handler = Callable[[int], Any]
# Targets that mean: any process of uWSGI's that works.
_ANYWHERE = ("", "spooler", "workers", "active-workers")


class Signal:
    """A number and its handler, in this process."""

    def __init__(self, number: int, target: str, handler: Handler) -> None:
        self.number = number
        self.handler = handler
        self.queue_name = queue_of(target)
        self.path = f"{handler.__module__}.{handler.__qualname__}"
        # Numbers are given in the order of imports, which is another one elsewhere;
        # among those of one function, the order is that of its module.
        same = of_path.setdefault(self.path, [])
        self.position = len(same)
        same.append(self)
        when_ready(self.declare)

    def declare(self) -> Any:
        """Declare the task of its jobs, which all signals of the function share."""
        if self.path not in _declared:
            _declared[self.path] = _task_of(self.path, self.handler)
        return _declared[self.path]

    def send(self) -> None:
        """Run the handler as a job; without a queue, here and now."""
        if not is_installed():
            self.handler(self.number)
        else:
            task = self.declare().using(queue_name=self.queue_name)
            enqueue(task, *self.arguments())

    def arguments(self) -> list[int]:
        return [self.position] if self.position else []


def _task_of(path: str, handler: Handler) -> Any:
    def run(position: int = 0) -> None:
        signal = of_path[path][position]
        signal.handler(signal.number)

    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(run, name, getattr(handler, name))
    return declare(keep_result=False)(run)


# Those of each function, by its path, and their task.
of_path: dict[str, list[Signal]] = {}
_declared: dict[str, Any] = {}
registered: dict[int, Signal] = {}


def register(number: int, target: str, handler: Handler) -> Signal:
    """Have a signal run the handler."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError(f"Signal {number!r}: a signal is a whole number from 0.")
    known, made = registered.get(number), Signal(number, target, handler)
    if known is not None and known.path == made.path:
        # The same once more, as by a second import of its module.
        of_path[made.path].remove(made)
        known.handler, known.queue_name = made.handler, made.queue_name
        return known
    registered[number] = made
    return made


def replace(handler: Handler, by: Handler) -> None:
    """Let another function be the handler, where this one was registered."""
    for signal in registered.values():
        if signal.handler is handler:
            signal.handler = by


def of(number: int) -> Signal:
    """Return the signal. Raises ValueError if nothing is registered for it."""
    if number not in registered:
        raise ValueError(
            f"Signal {number!r} has no handler in this process. Register it in a "
            "module that the site and the workers import, as `tasks`."
        )
    return registered[number]


def free() -> int:
    """Return the first number without a handler; there is no limit of 256."""
    number = 0
    while number in registered:
        number += 1
    return number


def recur(signal: Signal, times: Cadence, most: int | None = None) -> None:
    """Have the handler of the signal run at these times, once over all workers."""
    if not is_installed():
        warn_once(
            "timers",
            "'dbqueue' is not in INSTALLED_APPS: timers and crons do not run.",
        )
    when_ready(lambda: _schedule(signal, times, most))


def every(seconds: float) -> Every:
    return Every(seconds)


def cron(minute: int, hour: int, day: int, month: int, weekday: int) -> UwsgiCron:
    return UwsgiCron(minute, hour, day, month, weekday)


def _schedule(signal: Signal, times: Cadence, most: int | None) -> None:
    # Two timers of one function each have a schedule of their own.
    known, mine = _times.setdefault(signal.path, []), (signal.position, times)
    if mine not in known:
        known.append(mine)
    position = known.index(mine) + 1
    options: dict[str, Any] = {"catch_up": "none", "overlap": "skip"}
    if signal.queue_name is not None:
        options["queue_name"] = signal.queue_name
    schedule(
        signal.declare(),
        times,
        name=signal.path if position == 1 else f"{signal.path} #{position}",
        args=signal.arguments(),
        max_runs=most,
        **options,
    )


def queue_of(target: Any) -> str | None:
    """Return the queue for a target: a mule, or a farm; None is where others are."""
    text = str(target or "")
    if text in _ANYWHERE or text.startswith("worker"):
        return None
    return message.queue_of(text.removeprefix("farm_"))


_times: dict[str, list[tuple[int, Cadence]]] = {}
