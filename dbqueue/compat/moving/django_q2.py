"""What django-q2 has in its own tables: packages, schedules, and what has ended.

A package is a pickle, which runs code when it is opened. Those alone are opened that
the project's own key has signed, and from django-q2's own table.
"""

import ast
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import router
from django.utils import timezone
from django_q.conf import Conf
from django_q.core_signing import BadSignature, TimestampSigner
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage

from dbqueue.compat.django_q2 import calls, results, schedules
from dbqueue.compat.django_q2.models import Package
from dbqueue.compat.django_q2.store import database
from dbqueue.compat.moving.items import Item, Left, id_of, portions, told
from dbqueue.models import FinishedJob, Job
from dbqueue.schedules.models import Schedule as OurSchedule

_FACTS = ("id", "name", "func", "args", "kwargs", "started", "cluster", "ack_id")


def packages() -> list[Any]:
    """Return the rows of packages, of django-q2's own broker and of dbqueue's."""
    theirs = OrmQ.objects.using(Conf.ORM or router.db_for_write(OrmQ))
    return [theirs, Package.objects.using(database())]


def is_signed(payload: str) -> bool:
    """Tell whether the project's key has signed a package, which is not opened."""
    try:
        TimestampSigner(key=Conf.SECRET_KEY, salt=Conf.PREFIX).unsign(payload)
    except BadSignature:
        return False
    return True


def move_packages(*, write: bool) -> Iterator[Item]:
    """Make jobs of the packages that wait, under the ids of their tasks."""
    for rows in packages():
        for part in portions(rows, write=write):
            for row in part:
                item = Item("package", f"{row._meta.db_table}:{row.pk}")
                with told(item, results.alias()):
                    _move_package(row, item, write=write)
                yield item


def move_schedules(*, write: bool, keep: bool) -> Iterator[Item]:
    """Make schedules of django-q2's, whose rows are switched off then.

    With `keep` they stay as they are, and a cluster fires them as well.
    """
    rows = Schedule.objects.using(router.db_for_write(Schedule))
    for part in portions(rows, write=write):
        for row in part:
            item = Item("schedule", str(row.pk), row.func)
            with told(item, results.alias()):
                _move_schedule(row, item, write=write)
                if item.outcome == "moved" and write and not keep:
                    rows.filter(pk=row.pk).update(repeats=0)
            yield item


def _move_package(row: Any, item: Item, *, write: bool) -> None:
    is_theirs = isinstance(row, OrmQ)
    until, cluster = (row.lock, row.key) if is_theirs else (row.due_at, row.cluster)
    if until is not None and until > timezone.now():
        raise Left(f"a cluster has it until {until:%Y-%m-%d %H:%M:%S %Z}")
    if not is_signed(row.payload):
        raise Left(
            "it is not signed with this project's SECRET_KEY and Q_CLUSTER['name'], "
            "and not opened"
        )
    try:
        package = SignedPackage.loads(row.payload)
    except Exception as error:  # a pickle calls what it likes
        raise Left(f"it cannot be opened: {type(error).__name__}: {error}") from error
    item.what = _shown(package["func"])
    for name in ("chain", "iter_count"):
        if package.get(name):
            raise Left(
                f"it is part of a {name.partition('_')[0]}; let a cluster run it"
            )
    path = calls.path_of(package["func"])
    options = {k: v for k, v in package.items() if k not in _FACTS}
    _, options = calls.parted(options)
    options |= {"task_name": package["name"], "cluster": _queue(cluster)}
    id = UUID(package["id"])
    item.to = str(id)
    if _is_known(id):
        item.outcome = "there"
    elif write:
        calls.enqueue(path, package["args"], package["kwargs"], options, job_id=id)
    else:
        calls.as_job(path, package["args"], package["kwargs"], options)
    if write:
        row.delete()


def _move_schedule(row: Any, item: Item, *, write: bool) -> None:
    id = id_of("django-q2", row.pk)
    item.to = str(id)
    if OurSchedule.objects.using(results.alias()).filter(pk=id).exists():
        item.outcome = "there"
        return
    if row.repeats == 0:
        raise Left("it is switched off: repeats is 0")
    if row.next_run is None:
        raise Left("it has no next run")
    made = schedules.made(_given(row), id=id, save=write)
    item.note = made.note


def _given(row: Any) -> schedules.Given:
    next_run = row.next_run
    return schedules.Given(
        func=row.func,
        args=_args(row.args),
        kwargs=_kwargs(row.kwargs),
        kind=row.schedule_type,
        next_run=timezone.make_aware(next_run)
        if timezone.is_naive(next_run)
        else next_run,
        name=row.name or f"{row.func} (django-q2 {row.pk})"[-255:],
        hook=row.hook,
        minutes=row.minutes,
        repeats=row.repeats,
        cron=row.cron,
        cluster=_queue(row.cluster),
        intended_date_kwarg=row.intended_date_kwarg,
        catch_up=Conf.CATCH_UP,
        zone=Conf.TIME_ZONE or "",
    )


def _queue(cluster: str | None) -> str | None:
    """Return the queue for a cluster's tasks; that of all is what the task says."""
    return None if cluster in (None, "", Conf.CLUSTER_NAME, Conf.PREFIX) else cluster


def _args(text: str | None) -> tuple[Any, ...]:
    """Return the arguments that a row has as text."""
    try:
        value = ast.literal_eval(text) if text else ()
    except (SyntaxError, ValueError) as error:
        raise Left(f"its arguments cannot be read: {text!r:.100}") from error
    return value if isinstance(value, tuple) else (value,)


def _kwargs(text: str | None) -> dict[str, Any]:
    """Return the keyword arguments, written as a dict or as in a call."""
    try:
        if not text:
            return {}
        if text.lstrip().startswith("{"):
            return dict(ast.literal_eval(text))
        tree: Any = ast.parse(f"f({text})", mode="eval").body
        if tree.args or any(word.arg is None for word in tree.keywords):
            raise ValueError(text)
        return {word.arg: ast.literal_eval(word.value) for word in tree.keywords}
    except (SyntaxError, ValueError, TypeError) as error:
        raise Left(f"its keyword arguments cannot be read: {text!r:.100}") from error


def _is_known(id: UUID) -> bool:
    alias = results.alias()
    return any(
        model._default_manager.using(alias).filter(pk=id).exists()
        for model in (Job, FinishedJob)
    )


def _shown(func: Any) -> str:
    if callable(func):
        return f"{func.__module__}.{getattr(func, '__qualname__', func)}"
    return str(func)
