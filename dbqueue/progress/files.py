"""Files of jobs: attached while they run, and deleted from the storage in time."""

import io
import logging
import mimetypes
import os
import re
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, storages
from django.db.models import Exists

from dbqueue import dialects
from dbqueue.backend import backend_of
from dbqueue.exceptions import ClaimLost
from dbqueue.models import Job, JobState
from dbqueue.progress import conf
from dbqueue.progress.models import FileState, JobFile
from dbqueue.tasks.framework import AnyContext, AnyResult

logger = logging.getLogger(__name__)

NAME_LENGTH = 255
_UNSAFE = re.compile(r"[^\w.-]", re.ASCII)
# After the storage refused to delete a file.
AGAIN = timedelta(hours=1)
# How long it is known of a file that is gone that it was there: 410, and then 404.
REMEMBERED = timedelta(days=7)
# Until a file counts as left by a process that died while it stored it.
STORING = timedelta(days=1)


def attach(
    context: AnyContext,
    name: str,
    file: Any,
    *,
    content_type: str = "",
    keep: float | None = None,
) -> JobFile:
    """See JobContext.attach()."""
    result: Any = context.task_result
    alias = conf.current().storage
    planned = _plan(result, _checked(name), alias, content_type)
    storage = storages[alias]
    with _opened(file, name) as content:
        planned.stored_as = storage.save(planned.stored_as, content)
        planned.size = storage.size(planned.stored_as)
    seconds = conf.current().keep_files if keep is None else keep
    if not _publish(planned, result, timedelta(seconds=seconds)):
        remove(planned, storage)
        raise ClaimLost(f"Job {result.id} was taken over; {name!r} is not attached.")
    return planned


def remove(file: JobFile, storage: Storage | None = None) -> bool:
    """Delete a file from its storage; return whether that could be done."""
    rows = JobFile.objects.using(file._state.db).filter(pk=file.pk)
    clock = dialects.of(str(file._state.db)).clock()
    try:
        (storage or storages[file.storage]).delete(file.stored_as)
    except Exception:  # any storage class, or none of that name any more
        logger.exception("Could not delete the file name=%s", file.stored_as)
        rows.update(purge_after=clock + AGAIN, expires_at=clock)
        return False
    rows.update(state=FileState.GONE, purge_after=clock + REMEMBERED, expires_at=clock)
    return True


def _plan(result: AnyResult, name: str, storage: str, content_type: str) -> JobFile:
    """Put a file on record that is about to be stored, so that none is forgotten."""
    database = backend_of(result.backend).database
    id = UUID(result.id)
    folder = f"dbqueue/{id.hex}/{secrets.token_urlsafe(16)}"  # no one guesses it
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    later = dialects.of(database).clock() + STORING
    return JobFile.objects.using(database).create(
        job_id=id,
        attempt=getattr(result, "attempt", 0),
        state=FileState.PLANNED,
        name=name,
        storage=storage,
        stored_as=f"{folder}/{_UNSAFE.sub('_', name)[-100:]}",
        content_type=content_type or guessed,
        expires_at=later,
        purge_after=later,
    )


def _publish(file: JobFile, result: AnyResult, keep: timedelta) -> bool:
    """Show a file that is stored, if the attempt still holds its job."""
    database = str(file._state.db)
    rows = JobFile.objects.using(database)
    mine = rows.filter(pk=file.pk)
    if backend_of(result.backend).stores_jobs:
        held = Job.objects.using(database).filter(
            pk=file.job_id, attempt=file.attempt, state=JobState.RUNNING
        )
        mine = mine.filter(Exists(held))
    until = dialects.of(database).clock() + keep
    if not mine.update(
        state=FileState.LIVE,
        stored_as=file.stored_as,
        size=file.size,
        expires_at=until,
        purge_after=until,
    ):
        return False
    older = rows.filter(pk__lt=file.pk, job_id=file.job_id, name=file.name)
    older.exclude(state=FileState.GONE).update(
        purge_after=dialects.of(database).clock()
    )
    file.refresh_from_db(using=database)
    return True


def _checked(name: Any) -> str:
    if not isinstance(name, str) or not name.strip(" .") or len(name) > NAME_LENGTH:
        raise ValueError(
            f"{name!r:.300} is no name of a file. Give one of 1 to {NAME_LENGTH} "
            'characters, such as "report.pdf".'
        )
    if any(character in name for character in "/\\\x00") or not name.isprintable():
        raise ValueError(
            f"The name {name!r} has a slash or a control character. Give a name "
            "without folders; downloads have that name."
        )
    return name


def _opened(file: Any, name: str) -> "File[Any]":
    if isinstance(file, io.TextIOBase):
        file = file.read()
    if isinstance(file, str):
        file = file.encode()
    if isinstance(file, bytes | bytearray | memoryview):
        return ContentFile(bytes(file), name)
    if isinstance(file, os.PathLike):
        return File(Path(file).open("rb"), name)
    if isinstance(file, File):
        return _Unclosed(file.file, name)
    if hasattr(file, "read"):
        return _Unclosed(file, name)
    raise TypeError(
        f"The file {name!r} is of type {type(file).__name__!r}. Give bytes, text, a "
        "path, an open file or a Django File."
    )


class _Unclosed(File):  # type: ignore[type-arg]  # generic in the stubs only
    """A file that stays open for whoever opened it."""

    def __exit__(self, *raised: object) -> None:
        pass
