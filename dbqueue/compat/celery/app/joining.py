"""What joins dbqueue once its models are there: schedules, modules, signals."""

import logging
from importlib import import_module
from typing import Any

from django.dispatch import receiver
from django.utils.module_loading import autodiscover_modules

from dbqueue import signals as ours
from dbqueue.compat.celery import canvas, signals
from dbqueue.compat.celery.app import base, making, periodic
from dbqueue.compat.celery.conf import source
from dbqueue.compat.celery.run import carried, trace
from dbqueue.compat.celery.run.request import Request
from dbqueue.models import FinishedJob
from dbqueue.schedules.declared import declarations
from dbqueue.tasks import registry

logger = logging.getLogger(__name__)


def import_modules() -> None:
    """Import what the apps name beside the modules `tasks`, and say that it is done."""
    import_named()
    signals.import_modules.tell(base.current_app)
    finish()


def import_named() -> None:
    """Import the modules that settings and autodiscover_tasks() name."""
    for setting in ("imports", "include"):
        given = source.value(setting) or ()
        for name in [given] if isinstance(given, str) else given:
            import_module(name)
    for packages, name in base.discovered:
        _discover(packages, name)


def finish() -> None:
    """Have the apps add their periodic tasks, as they do once they are configured."""
    for app in base.apps:
        if app not in _finished:
            _finished.append(app)
            for signal in (
                app.on_configure,
                app.on_after_configure,
                app.on_after_finalize,
            ):
                signal.tell(app, source=source.current.read())


def _discover(packages: Any, name: str | None) -> None:
    found = packages() if callable(packages) else packages
    if not found:
        autodiscover_modules(name or "tasks")
        return
    for package in found:
        path = f"{package}.{name}" if name else package
        try:
            import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:
                raise


def declared() -> Any:
    """Return what periodic tasks there are, and what is wrong with others."""
    finish()
    return periodic.declared()


@receiver(ours.worker_ready, dispatch_uid="dbqueue.compat.celery")
def tell_ready(event: Any, **kwargs: Any) -> None:
    signals.worker_init.tell(event)
    how = {"loglevel": None, "logfile": None, "format": "", "colorize": None}
    signals.setup_logging.tell(None, **how)
    signals.after_setup_logger.tell(None, logger=logging.getLogger(), **how)
    signals.after_setup_task_logger.tell(None, logger=logging.getLogger(), **how)
    signals.worker_process_init.tell(event)
    signals.worker_ready.tell(event)


@receiver(ours.worker_stopping, dispatch_uid="dbqueue.compat.celery")
def tell_stopping(event: Any, **kwargs: Any) -> None:
    signals.worker_shutting_down.tell(event, sig="", how="", exitcode=0)
    signals.worker_process_shutdown.tell(event, pid=event.pid, exitcode=0)
    signals.worker_shutdown.tell(event)


@receiver(ours.job_cancelled, dispatch_uid="dbqueue.compat.celery")
def tell_revoked(event: Any, **kwargs: Any) -> None:
    task = making.by_path.get(event.task)
    if task is None or not signals.task_revoked.receivers:
        return
    request = Request(id=str(event.id), task=task.name, called_directly=False)
    signals.task_revoked.tell(
        task,
        request=request,
        terminated=event.worker_id is not None,
        signum=None,
        expired=event.reason == "expired",
    )


@receiver(ours.job_rescued, dispatch_uid="dbqueue.compat.celery")
def tell_lost(event: Any, **kwargs: Any) -> None:
    """Tell of a task that has failed with its worker, which could not say it."""
    task = making.by_path.get(event.task)
    if task is None or event.state != "FAILED":
        return
    error = event.error or Exception(event.reason)
    request = Request(id=str(event.id), task=task.name, called_directly=False)
    signals.task_failure.tell(
        task,
        task_id=request.id,
        exception=error,
        args=(),
        kwargs={},
        traceback=None,
        einfo=None,
    )
    alias = task.job.get_backend().database
    rows = FinishedJob.objects.using(alias).filter(pk=event.id)
    parcel = carried.read(
        (rows.values_list("context", flat=True).first() or {}).get(carried.KEY)
    )
    request.errbacks = canvas.signatures(parcel.get("link_error"))
    trace.call_errbacks(request, error)


_finished: list[Any] = []
registry.importers.append(import_modules)
declarations.sources.append(declared)
