"""Uploads begun: who may, how many, how large; and files of forms that are kept."""

from datetime import timedelta
from typing import Any

from django.db import models, router, transaction
from django.db.models import Count, Sum
from django.http import HttpRequest

from dbqueue import dialects
from dbqueue.fields import conf, owners, permissions, places, restrictions
from dbqueue.fields.exceptions import TooManyUploads
from dbqueue.fields.models import NAMED, FieldUpload, id_of_name
from dbqueue.fields.receiving import Receiver, check_head, check_size, finish
from dbqueue.imaging.signatures import HEAD
from dbqueue.uploads import work
from dbqueue.uploads.chunks import CHUNK_SIZE, copy_columns, too_large
from dbqueue.uploads.handlers import StreamedFile
from dbqueue.uploads.intake import quotas
from dbqueue.uploads.intake.filenames import clean, clean_type
from dbqueue.uploads.models import ArtifactState, Upload, UploadArtifact, UploadState


def issue(
    request: HttpRequest,
    field: Any,
    filename: str,
    *,
    content_type: str = "",
    size: int | None = None,
    instance: models.Model | None = None,
    via: str = "direct",
) -> FieldUpload:
    """Have one file be sent for a field; return its row.

    instance: the one whose file it will replace; None for one that is to be created.
    size: of the file in bytes, if it is known.

    Raises NotPermitted; ContentRejected for a name of another type; UploadTooLarge;
    UploadQuotaExceeded and its kind TooManyUploads.
    """
    permissions.demand(field, "update" if instance else "create", request, instance)
    restrictions.check_name(field, filename, content_type)
    return _begin(request, field, filename, content_type, size, instance, via)


def keep(
    request: HttpRequest, field: Any, file: Any, instance: models.Model | None
) -> FieldUpload:
    """Keep a file that came with a form, so that the form need not ask for it again.

    Whether the user may is what the view decides. Raises as issue() and finish() do.
    """
    size = file.size
    name, content_type = file.name, getattr(file, "content_type", "")
    if isinstance(file, StreamedFile) and places.storage_of(field) is None:
        return _adopt(request, field, file, instance)
    row = _begin(request, field, name, content_type, size, instance, "form")
    file.seek(0)
    storage = places.storage_of(field)
    if storage is None or storage.receives_here:
        finish(row, _receive(row, file))
    else:
        storage.put(str(row.upload.held_as), file)
        finish(row)
    return row


def _receive(row: FieldUpload, file: Any) -> str | None:
    """Take a whole file; return its digest."""
    with Receiver(row) as receiver:
        receiver.restart()
        while data := file.read(CHUNK_SIZE):
            receiver.write(data)
    return receiver.sha256


def record(field: Any, name: str, filename: str, *, via: str = NAMED) -> FieldUpload:
    """Put on record what a storage has, or will have, under a temporary name.

    It is nobody's. What no form has used when its time is over is deleted; that
    somebody may use it who knows the name, `via` says.
    """
    upload = _upload(field, filename, "", "", name, work.database())
    upload.pk = id_of_name(name)
    upload.size = restrictions.limit_of(field, in_database=False)
    return _written(_row(upload, field, None, via))


def look_at(field: Any, file: Any) -> None:
    """Raise as finish() does for a file that came with a form and is not kept."""
    limit = restrictions.limit_of(field, places.storage_of(field) is None)
    check_size(file.size, file.name, limit)
    file.seek(0)
    check_head(file.read(HEAD), file.name, field.upload_policy)
    file.seek(0)


def _begin(
    request: HttpRequest,
    field: Any,
    filename: str,
    content_type: str,
    size: int | None,
    instance: models.Model | None,
    via: str,
) -> FieldUpload:
    storage = places.storage_of(field)
    limit = restrictions.limit_of(field, storage is None)
    if size is not None and size > limit:
        raise too_large(limit)
    owner = owners.owner_of(request)
    database = work.database()
    _check_quotas(database, owner, limit if size is None else size, storage is None)
    held_as = storage.generate_temporary_path(filename) if storage else None
    upload = _upload(field, filename, content_type, owner, held_as, database)
    upload.size = limit if size is None else size
    row = _row(upload, field, instance, via)
    row.is_size_known = size is not None
    return _written(row)


def _written(row: FieldUpload) -> FieldUpload:
    upload, database = row.upload, work.database()
    with transaction.atomic(using=database):
        upload.save(using=database, force_insert=True)
        if upload.held_as is not None:
            # On record before it exists, so that it is not forgotten.
            UploadArtifact.objects.using(database).create(
                upload=upload, name=upload.held_as, state=ArtifactState.HELD
            )
        row.save(using=database, force_insert=True)
    upload.refresh_from_db(using=database, fields=["created_at", "expires_at"])
    row.refresh_from_db(using=database, fields=["created_at"])
    row.upload = upload
    return row


def _adopt(
    request: HttpRequest, field: Any, file: StreamedFile, instance: models.Model | None
) -> FieldUpload:
    """Keep what BlobUploadHandler has written into the database."""
    received, owner, database = file.upload, owners.owner_of(request), work.database()
    limit = restrictions.limit_of(field, in_database=True)
    if received.size > limit:
        raise too_large(limit)
    _check_rates(database, owner, received.size)
    upload = _upload(field, file.name, received.content_type, owner, None, database)
    upload.pk = received.pk
    copy_columns(received, upload)
    with transaction.atomic(using=database):
        upload.save(using=database, force_update=True)
        row = _row(upload, field, instance, "form")
        row.received, row.is_size_known = upload.size, True
        row.save(using=database, force_insert=True)
    row.upload = upload
    file.kept = True
    finish(row, upload.sha256)
    return row


def _upload(
    field: Any,
    filename: Any,
    content_type: Any,
    owner: str,
    held_as: str | None,
    database: str,
) -> Upload:
    clock = dialects.of(database).clock()
    label = field.model._meta.label
    age = timedelta(seconds=conf.current().token_age)
    return Upload(
        state=UploadState.RECEIVING,
        model=label,
        given_as=label,
        field_name=field.name,
        database=router.db_for_write(field.model),
        is_image=field.is_image,
        filename=clean(filename),
        content_type=clean_type(content_type),
        owner_id=owner,
        held_as=held_as,
        chunk_size=CHUNK_SIZE,
        chunk_count=0,
        created_at=clock,
        expires_at=clock + age,
    )


def _row(
    upload: Upload, field: Any, instance: models.Model | None, via: str
) -> FieldUpload:
    return FieldUpload(
        upload=upload,
        field_id=field.async_field_id,
        instance_pk="" if instance is None else str(instance.pk),
        via=via,
        created_at=upload.created_at,
    )


def _check_quotas(database: str, owner: str, size: int, in_database: bool) -> None:
    if in_database:
        quotas.check(database, owner, size)
    _check_rates(database, owner, size)


def _check_rates(database: str, owner: str, size: int) -> None:
    """Raise TooManyUploads if an owner has begun too many, or too large ones."""
    settings = conf.current()
    rows = FieldUpload.objects.using(database).filter(upload__owner_id=owner)
    waiting = rows.filter(upload__state=UploadState.RECEIVING)
    found = waiting.aggregate(count=Count("pk"), bytes=Sum("upload__size"))
    minute = dialects.of(database).clock() - timedelta(minutes=1)
    _demand("COUNT_PER_OWNER", settings.count_per_owner, found["count"] + 1)
    _demand("BYTES_PER_OWNER", settings.bytes_per_owner, (found["bytes"] or 0) + size)
    if settings.per_minute is not None:
        begun = rows.filter(created_at__gt=minute).count()
        _demand("PER_MINUTE", settings.per_minute, begun + 1)


def _demand(setting: str, limit: int | None, wanted: int) -> None:
    if limit is not None and wanted > limit:
        raise TooManyUploads(
            "Too many files wait for their forms, or were sent in a short time. "
            f"Submit them, or try again later. (FIELDS[{setting!r}] is {limit:,}.)"
        )
