"""System checks of uploads: silent in a project without uploads."""

import os
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from django.db import connections, models
from django.urls import get_resolver

from dbqueue import dialects
from dbqueue.backend import our_backends
from dbqueue.exceptions import MissingExtra
from dbqueue.imaging import launcher
from dbqueue.imaging.exceptions import SandboxFailed
from dbqueue.models import Job, Worker
from dbqueue.status import is_served
from dbqueue.uploads import work
from dbqueue.uploads.intake.fields import problem_of_names
from dbqueue.uploads.models import Upload, UploadState
from dbqueue.uploads.targets import file_fields

HANDLER = "dbqueue.uploads.handlers.BlobUploadHandler"
API = "dbqueue.uploads.intake.submission"  # behind every save_image()
OLDEST_PILLOW = (12, 3)  # the first without the known holes
WAIT = timedelta(seconds=60)


# Not "dbqueue": workers check that when they start, and have no use for the URLs.
@checks.register("dbqueue_uploads")
def check_uploads(**kwargs: Any) -> list[checks.CheckMessage]:
    """E005, W006, W007 and W021, where the project's views use uploads."""
    if not our_backends() or not _in_use():
        return []
    return [
        *_check_queue(),
        *_check_pillow(),
        *_check_storages(),
        *_check_names(),
    ]


@checks.register("dbqueue_uploads", deploy=True)
def check_sandbox(**kwargs: Any) -> list[checks.CheckMessage]:
    """I001 and W020: the layers of the sandbox on this machine."""
    if not our_backends() or not _in_use():
        return []
    try:
        layers = launcher.layers()
    except MissingExtra:
        return []  # which W006 tells
    except SandboxFailed as error:
        return [checks.Warning(str(error), id="dbqueue.W020")]
    told = (
        "Pictures are decoded in a process of its own, with limits on time and memory"
    )
    found = checks.Info(f"{told}, and: {', '.join(layers) or '-'}.", id="dbqueue.I001")
    missing = [layer for layer in launcher.WANTED if layer not in layers]
    if not missing:
        return [found]
    return [
        found,
        checks.Warning(
            f"The sandbox of pictures lacks {' and '.join(missing)}.",
            hint="Use Linux 5.13 or later, and a container that does not forbid it.",
            id="dbqueue.W020",
        ),
    ]


@checks.register(checks.Tags.database)
def check_workers(
    databases: Iterable[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """W008: uploads are pending, and no worker serves their queue."""
    if not our_backends():
        return []
    alias = work.database()
    if alias not in (databases or ()) or not _migrated(alias):
        return []
    return [
        checks.Warning(
            f"Uploads have waited for over {WAIT.seconds} seconds in queue {queue!r}, "
            "and no live worker takes it.",
            hint="Start 'manage.py runworker', without --queues or with this one.",
            id="dbqueue.W008",
        )
        for queue in sorted(_waiting_queues(alias))
        if not is_served(alias, queue)
    ]


def _in_use() -> bool:
    # The views import the API; they are imported by the URLs, if not by now.
    if getattr(settings, "ROOT_URLCONF", None):
        get_resolver().url_patterns  # noqa: B018  read to be imported
    return API in sys.modules or HANDLER in settings.FILE_UPLOAD_HANDLERS


def _check_queue() -> Iterator[checks.CheckMessage]:
    alias, backend = work.backend()
    if backend.queues and work.QUEUE not in backend.queues:
        yield checks.Error(
            f"TASKS[{alias!r}]['QUEUES'] has no {work.QUEUE!r}, where uploads wait.",
            hint="Add it, or set QUEUES to [], which allows any name.",
            id="dbqueue.E005",
        )


def _check_pillow() -> Iterator[checks.CheckMessage]:
    if not any(isinstance(field, models.ImageField) for field in file_fields()):
        return
    try:
        found = metadata.version("pillow")
    except metadata.PackageNotFoundError:
        found = "not installed"
    if _numbers(found) < OLDEST_PILLOW:
        wanted = ".".join(map(str, OLDEST_PILLOW))
        yield checks.Warning(
            f"Uploaded images are decoded by Pillow, which is {found}; {wanted} or "
            "later is needed.",
            hint="pip install 'dbqueue-django[images]'",
            id="dbqueue.W006",
        )


def _check_storages() -> Iterator[checks.CheckMessage]:
    first: dict[str, models.FileField] = {}  # by the problem
    for field in file_fields():
        first.setdefault(_problem_of(field), field)
    for problem, field in first.items():
        if problem:
            yield checks.Warning(
                f"Files of {field} cannot be stored: {problem}",
                hint="See STORAGES and MEDIA_ROOT; workers need the same as the site.",
                id="dbqueue.W007",
            )


def _check_names() -> Iterator[checks.CheckMessage]:
    for field in file_fields():
        # One that has no storage is told of already.
        if not _problem_of(field) and (problem := problem_of_names(field)):
            yield checks.Warning(
                f"No upload can be saved: {problem}", id="dbqueue.W021"
            )


def _problem_of(field: models.FileField) -> str:
    try:
        storage: Any = field.storage
        if isinstance(storage, InMemoryStorage):
            return "they would be in the memory of the worker that saves them."
        if not isinstance(storage, FileSystemStorage):
            return ""
        place, given = Path(storage.location), storage.base_location
    except ImproperlyConfigured as error:
        return str(error)
    if not given:
        return "MEDIA_ROOT is not set: they would go to the folder a worker starts in."
    while not place.exists() and place != place.parent:
        place = place.parent
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return ""
    return f"this user may not write to {str(storage.location)!r}."


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts) if all(map(str.isdecimal, parts)) else ()


def _migrated(alias: str) -> bool:
    # `migrate` runs this, too, before there is anything.
    wanted = {model._meta.db_table for model in (Upload, Job, Worker)}
    return wanted.issubset(connections[alias].introspection.table_names())


def _waiting_queues(alias: str) -> set[str]:
    long = Upload.objects.using(alias).filter(
        state=UploadState.STORED, created_at__lt=dialects.of(alias).clock() - WAIT
    )
    jobs = Job.objects.using(alias).ready().filter(pk__in=long.values("job_id"))
    return set(jobs.values_list("queue_name", flat=True).distinct())
