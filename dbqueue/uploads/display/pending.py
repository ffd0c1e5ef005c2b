"""What waits for the fields of instances, and what became of what was uploaded."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import models
from django.db.models import Exists, OuterRef, Q

from dbqueue.uploads import work
from dbqueue.uploads.exceptions import InstanceNotSaved, UploadError
from dbqueue.uploads.handle import UploadHandle
from dbqueue.uploads.models import Upload, UploadState
from dbqueue.uploads.targets import find_field, target_of

_M = TypeVar("_M", bound=models.Model)
_CACHE = "_dbqueue_uploads"
_KEY = ("model", "object_pk", "field_name", "database")
_Key = tuple[str, ...]


@dataclass(slots=True)
class FieldUploads:
    """The uploads of one field that a page needs to know of."""

    latest: Upload | None = None
    # Those that were saved, by the name that they gave to the field.
    saved: dict[str, Upload] = field(default_factory=dict)


def uploads_for(
    instance: models.Model, field_name: str | None = None
) -> list[UploadHandle]:
    """Return what was uploaded for an instance, or one field of it, newest first.

    Records of what has ended are kept for KEEP_UPLOADS.
    """
    names = [field_name] if field_name else _file_fields(instance)
    keys = _keys([instance], names)
    if not keys:
        return []
    rows = _uploads(keys.values()).order_by("-pk")
    return [UploadHandle(upload) for upload in rows]


def prefetch_uploads(instances: Iterable[_M], *field_names: str) -> list[_M]:
    """Return the instances as a list, with what `pending_image` asks for, in one query.

    field_names: the fields that the page shows; default all that hold files.
    """
    found = list(instances)
    names = list(field_names) or (_file_fields(found[0]) if found else [])
    keys = _keys(found, names)
    loaded = _load(keys.values(), _held(found, names)) if keys else {}
    for instance in found:
        known = instance.__dict__.setdefault(_CACHE, {})
        for name in names:
            key = keys.get((id(instance), name))
            known[name] = loaded.get(key, FieldUploads()) if key else FieldUploads()
    return found


def field_uploads(instance: models.Model, field_name: str) -> FieldUploads:
    """Return what is known of a field's uploads; a query if nothing was prefetched."""
    known = instance.__dict__.get(_CACHE, {})
    if field_name in known:
        prefetched: FieldUploads = known[field_name]
        return prefetched
    keys, held = _keys([instance], [field_name]), _held([instance], [field_name])
    return next(iter(_load(keys.values(), held).values()), FieldUploads())


def file_field(instance: Any, field_name: str) -> models.FileField:
    """Return the field of that name. Raises UploadError, also for no instance."""
    if not isinstance(instance, models.Model):
        raise UploadError(f"{instance!r} is not a model instance.")
    return find_field(instance, None, field_name, models.FileField)


def _file_fields(instance: models.Model) -> list[str]:
    every = instance._meta.concrete_fields
    return [f.name for f in every if isinstance(f, models.FileField)]


def _keys(
    instances: Iterable[models.Model], names: Iterable[str]
) -> dict[tuple[int, str], _Key]:
    """Return what names each field of each instance, those of unsaved ones left out."""
    keys: dict[tuple[int, str], _Key] = {}
    for instance in instances:
        for name in names:
            try:
                target = target_of(instance, file_field(instance, name), None)
            except InstanceNotSaved:
                continue
            keys[id(instance), name] = tuple(target.key()[part] for part in _KEY)
    return keys


def _held(instances: Iterable[models.Model], names: Collection[str]) -> set[str]:
    every = (getattr(instance, name).name for instance in instances for name in names)
    return {name for name in every if name}


def _load(keys: Iterable[_Key], held: Collection[str]) -> dict[_Key, FieldUploads]:
    newer = Upload.objects.filter(
        **{name: OuterRef(name) for name in _KEY}, pk__gt=OuterRef("pk")
    )
    shown = Q(state=UploadState.DONE, final_name__in=held)
    rows = _uploads(keys).filter(~Exists(newer) | shown)
    loaded: dict[_Key, FieldUploads] = {}
    for upload in rows.order_by("pk"):
        key = tuple(str(getattr(upload, name)) for name in _KEY)
        found = loaded.setdefault(key, FieldUploads())
        found.latest = upload
        if upload.state == UploadState.DONE:
            found.saved[upload.final_name] = upload
    return loaded


def _uploads(keys: Iterable[_Key]) -> Any:
    every, pks = Q(), _grouped(keys)
    for (model, name, database), group in pks.items():
        every |= Q(model=model, object_pk__in=group, field_name=name, database=database)
    rows = Upload.objects.using(work.database()).filter(every)
    return rows if pks else rows.none()


def _grouped(keys: Iterable[_Key]) -> dict[_Key, list[str]]:
    pks: dict[_Key, list[str]] = {}
    for model, pk, name, database in keys:
        pks.setdefault((model, name, database), []).append(pk)
    return pks
