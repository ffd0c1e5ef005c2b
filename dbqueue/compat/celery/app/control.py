"""control and inspect: what is asked of workers, answered from the database."""

from collections import Counter
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, NoReturn

from dbqueue import jobs
from dbqueue.compat.celery.app import making
from dbqueue.compat.celery.conf import routes
from dbqueue.compat.celery.run import carried

# Jobs that an answer lists.
MOST = 10_000


class Inspect:
    """Questions about live workers; each is answered by name, None if none lives."""

    def __init__(self, destination: Any = None, **ignored: Any) -> None:
        one = isinstance(destination, str)
        self._wanted = [destination] if one else destination

    def ping(self, destination: Any = None) -> Any:
        return self._of_each(lambda worker: {"ok": "pong"}, destination)

    def active(self, safe: Any = None) -> Any:
        """Return what runs: by worker, a list of tasks."""
        return self._of_each(lambda worker: [_told(job) for job in _held(worker)])

    def scheduled(self, safe: Any = None) -> Any:
        """Return what is scheduled. It is of no worker yet: the first has them all."""
        due = _jobs().filter(state="SCHEDULED").order_by("run_after")[:MOST]
        listed = (
            {"eta": job.run_after, "priority": job.priority, "request": _told(job)}
            for job in due
        )
        return self._of_first(listed)

    def reserved(self, safe: Any = None) -> Any:
        """Return what is ready to run; the first worker has them all."""
        ready = _jobs().filter(state__in=("READY", "BLOCKED")).order_by("pk")[:MOST]
        return self._of_first(map(_told, ready))

    def revoked(self) -> Any:
        """Return the ids of tasks that run, and were asked to stop."""
        return self._of_each(
            lambda worker: [str(job.pk) for job in _held(worker) if job.cancelled_at]
        )

    def registered(self, *ignored: Any) -> Any:
        """Return the names of the tasks that each worker knows."""
        return self._of_each(
            lambda worker: sorted(
                name
                for name, task in making.tasks.items()
                if task.path not in (worker.unknown_tasks or ())
            )
        )

    registered_tasks = registered

    def stats(self) -> Any:
        """Return of each worker its process, its slots, and what it has done."""
        return self._of_each(_stats)

    def active_queues(self) -> Any:
        return self._of_each(
            lambda worker: [{"name": name} for name in worker.queues.split(",")]
        )

    def query_task(self, *ids: Any) -> Any:
        """Return the state of tasks that run, by worker and id."""
        flat = [
            id for item in ids for id in ([item] if isinstance(item, str) else item)
        ]
        wanted = {str(carried.job_id(id)): id for id in flat}
        return self._of_each(
            lambda worker: {
                wanted[str(job.pk)]: ["active", _told(job)]
                for job in _held(worker)
                if str(job.pk) in wanted
            }
        )

    def __getattr__(self, name: str) -> NoReturn:
        raise NotImplementedError(
            f"inspect().{name}() is not supported by dbqueue.compat.celery. The admin, "
            "and manage.py queuestatus, show what workers do."
        )

    def _of_each(self, say: Callable[[Any], Any], destination: Any = None) -> Any:
        wanted, found = destination or self._wanted, dict[str, Any]()
        for worker in _workers():
            if not wanted or worker.name in wanted:
                # Names need not be unique.
                name = worker.name
                name = f"{name} {worker.pid}" if name in found else name
                found[name] = say(worker)
        return found or None

    def _of_first(self, listed: Iterable[Any]) -> Any:
        found = self._of_each(lambda worker: [])
        if found:
            found[min(found)] = list(listed)
        return found


class Control:
    """What is asked of workers."""

    def __init__(self, app: Any = None) -> None:
        self.app = app

    def inspect(self, destination: Any = None, **ignored: Any) -> Inspect:
        """Return who answers questions about workers."""
        return Inspect(destination)

    def ping(self, destination: Any = None, **ignored: Any) -> list[dict[str, Any]]:
        """Return an answer of each live worker."""
        found = Inspect(destination).ping() or {}
        return [{name: answer} for name, answer in found.items()]

    def revoke(self, task_id: Any, *ignored: Any, **more: Any) -> None:
        """Cancel tasks by their ids; one that runs is asked to stop, and made to."""
        ids = [task_id] if isinstance(task_id, str) else list(task_id)
        jobs.cancel([str(carried.job_id(id)) for id in ids])

    terminate = revoke

    def purge(self, *ignored: Any) -> int:
        """Cancel all tasks that wait to run; return how many."""
        moved = jobs.filter(state="READY").cancel(reason="purged")
        return moved.done

    discard_all = purge

    def rate_limit(self, task_name: str, rate_limit: Any, **ignored: Any) -> None:
        """Change the rate of a task that has one. Raises UnknownLimit, ValueError."""
        limits = import_module("dbqueue.limits")
        path, rate = making.find(task_name).path, routes.rate(rate_limit)
        if rate is None:
            limits.reset(path)
        else:
            limits.set(path, **rate)

    def shutdown(self, destination: Any = None, **ignored: Any) -> None:
        """Have workers stop, all or those of these names, as TERM does."""
        names = [destination] if isinstance(destination, str) else destination
        rows = _workers().filter(name__in=names) if names else _workers()
        found = {row.pk: row for row in rows if row.takes_orders}
        if names and (others := [row.name for row in rows if row.pk not in found]):
            _refuse(f"shutdown({others!r})", "Stop processes of an engine there")
        rows.filter(pk__in=found).update(asked="stop")

    def broadcast(self, *args: Any, **how: Any) -> NoReturn:
        _refuse("broadcast()", "Workers take orders from the database: see the admin")

    def enable_events(self, *args: Any, **how: Any) -> NoReturn:
        _refuse("enable_events()", "Connect to dbqueue.signals")

    disable_events = election = heartbeat = enable_events

    def add_consumer(self, queue: Any, *args: Any, **how: Any) -> NoReturn:
        _refuse(f"add_consumer({queue!r})", "Start manage.py runworker --queues NAME")

    def cancel_consumer(self, queue: Any, *args: Any, **how: Any) -> NoReturn:
        _refuse(
            f"cancel_consumer({queue!r})", f"Pause it: dbqueue.queues.pause({queue!r})"
        )

    def time_limit(self, *args: Any, **how: Any) -> NoReturn:
        _refuse("time_limit()", "Say it where the task is declared")

    def pool_grow(self, *args: Any, **how: Any) -> NoReturn:
        _refuse("pool_grow()", "Start manage.py runworker --processes N --threads M")

    pool_shrink = autoscale = pool_restart = pool_grow


def _refuse(what: str, way_out: str) -> NoReturn:
    raise NotImplementedError(
        f"control.{what} is not supported by dbqueue.compat.celery. {way_out}."
    )


def _workers() -> Any:
    models = import_module("dbqueue.models")
    return models.Worker.objects.using(_alias()).alive().order_by("name", "pid")


def _jobs() -> Any:
    return import_module("dbqueue.models").Job.objects.using(_alias())


def _alias() -> str:
    alias: str = import_module("dbqueue.backend").backend_of("default").database
    return alias


def _held(worker: Any) -> Any:
    return _jobs().held_by(worker.pk).order_by("last_attempted_at")[:MOST]


def _told(job: Any) -> dict[str, Any]:
    known = making.by_path.get(job.task)
    name = known.name if known is not None else job.task
    typed = import_module("dbqueue.tasks.typed")
    args, kwargs = job.args, job.kwargs
    if typed.is_typed(args):
        args, kwargs, _ = typed.read(args, kwargs)
    began = job.last_attempted_at
    return {
        "id": carried.read(job.context.get(carried.KEY)).get("id") or str(job.pk),
        "name": name,
        "type": name,
        "args": args,
        "kwargs": kwargs,
        "hostname": str(job.worker_id) if job.worker_id else None,
        "time_start": began.timestamp() if began else None,
        "acknowledged": False,
        "delivery_info": {"routing_key": job.queue_name, "priority": job.priority},
    }


def _stats(worker: Any) -> dict[str, Any]:
    held = Counter(job["name"] for job in map(_told, _held(worker)))
    facts = worker.facts if isinstance(worker.facts, dict) else {}
    return {
        "pid": worker.pid,
        "hostname": worker.host,
        "total": dict(held),
        "uptime": int((worker.last_seen - worker.started_at).total_seconds()),
        "pool": {"max-concurrency": facts.get("slots"), "processes": [worker.pid]},
        "prefetch_count": 0,
        "clock": "0",
        "broker": {},
        "rusage": {"maxrss": (worker.memory or 0) // 1024},
    }
