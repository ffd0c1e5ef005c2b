"""What is pending for the fields of instances, and what became of what was uploaded."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import models
from django.db.models import Exists, OuterRef, Q

from dbqueue.uploads import work
from dbqueue.uploads.exceptions import InstanceNotSaved
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

    Records of what has ended are kept for `KEEP` of UPLOADS.
    """
    names = [field_name] if field_name else _file_fields(instance)
    rows = _uploads(_keys([instance], names).values()).order_by("-pk")
    return [UploadHandle(upload) for upload in rows]


def prefetch_uploads(instances: Iterable[_M], *field_names: str) -> list[_M]:
    """Return the instances as a list, with what `pending_image` asks for, in one query.

    field_names: the fields that the page shows; default all that hold files.
    """
    found = list(instances)
    names = list(field_names) or (_file_fields(found[0]) if found else [])
    loaded = _load(found, names)
    for instance in found:
        known = instance.__dict__.setdefault(_CACHE, {})
        for name in names:
            known[name] = loaded.get((id(instance), name)) or FieldUploads()
    return found


def field_uploads(instance: models.Model, field_name: str) -> FieldUploads:
    """Return what is known of a field's uploads; a query if nothing was prefetched."""
    known: dict[str, FieldUploads] = instance.__dict__.get(_CACHE, {})
    if field_name in known:
        return known[field_name]
    loaded = _load([instance], [field_name])
    return loaded.get((id(instance), field_name)) or FieldUploads()


def _file_fields(instance: models.Model) -> list[str]:
    every = instance._meta.concrete_fields
    return [f.name for f in every if isinstance(f, models.FileField)]


def _keys(
    instances: Iterable[models.Model], names: Collection[str]
) -> dict[tuple[int, str], _Key]:
    """Return what names each field of each instance, those of unsaved ones left out."""
    keys: dict[tuple[int, str], _Key] = {}
    for instance in instances:
        for name in names:
            try:
                target = target_of(instance, find_field(instance, name), None)
            except InstanceNotSaved:
                continue
            keys[id(instance), name] = tuple(target.key()[part] for part in _KEY)
    return keys


def _load(
    instances: Collection[models.Model], names: Collection[str]
) -> dict[tuple[int, str], FieldUploads]:
    """Return the uploads of each field of each instance, by id() and name."""
    keys = _keys(instances, names)
    held = {getattr(instance, name).name for instance in instances for name in names}
    newer = Upload.objects.filter(
        **{name: OuterRef(name) for name in _KEY}, pk__gt=OuterRef("pk")
    )
    shown = Q(state=UploadState.DONE, final_name__in=held - {None, ""})
    rows = _uploads(keys.values()).filter(~Exists(newer) | shown)
    loaded: dict[_Key, FieldUploads] = {key: FieldUploads() for key in keys.values()}
    for upload in rows.order_by("pk"):
        found = loaded[tuple(str(getattr(upload, name)) for name in _KEY)]
        found.latest = upload
        if upload.state == UploadState.DONE:
            found.saved[upload.final_name] = upload
    return {place: loaded[key] for place, key in keys.items()}


def _uploads(keys: Iterable[_Key]) -> Any:
    pks: dict[_Key, list[str]] = {}
    for model, pk, name, database in keys:
        pks.setdefault((model, name, database), []).append(pk)
    every = Q(pk__in=())  # nothing at all, without a query
    for (model, name, database), group in pks.items():
        every |= Q(model=model, object_pk__in=group, field_name=name, database=database)
    return Upload.objects.using(work.database()).filter(every)
