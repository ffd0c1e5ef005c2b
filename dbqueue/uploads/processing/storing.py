"""Objects in the field's storage: named, written down, created; nothing unknown."""

import os
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.db import models

from dbqueue.uploads.intake.filenames import stem_of
from dbqueue.uploads.models import ArtifactState, Upload, UploadArtifact
from dbqueue.uploads.targets import Target


@dataclass(frozen=True, slots=True)
class Output:
    """A file that is to be stored; `variant` is "" for the original."""

    variant: str
    path: Path
    extension: str
    content_type: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What an attempt has stored: the name for the field, and each variant's."""

    name: str
    width: int | None
    height: int | None
    pictures: dict[str, dict[str, str | int | None]]


def store(
    upload: Upload,
    target: Target,
    instance: models.Model,
    outputs: list[Output],
    run: str,
) -> Stored:
    """Save the outputs under new names; each is on record before it exists."""
    names = {
        output.variant: _store(upload, target, instance, output, run)
        for output in outputs
    }
    return _stored(names, outputs)


def stored_before(
    upload: Upload, target: Target, outputs: list[Output]
) -> tuple[Stored, str] | None:
    """Return what an earlier attempt stored, and its run, if the field has it.

    Where the model is in another database than the jobs, its commit comes first, and an
    attempt may die between the two.
    """
    artifacts = UploadArtifact.objects.using(upload._state.db).filter(upload=upload.pk)
    held = artifacts.filter(variant="", name=target.current_name() or "").first()
    if held is None:
        return None
    rows = artifacts.filter(run=held.run)
    names = dict(rows.values_list("variant", "name"))
    return _stored(names, outputs), held.run


def _stored(names: dict[str, str], outputs: list[Output]) -> Stored:
    original = outputs[0]
    pictures: dict[str, dict[str, str | int | None]] = {
        output.variant: {
            "name": names[output.variant],
            "width": output.width,
            "height": output.height,
        }
        for output in outputs[1:]
    }
    return Stored(names[""], original.width, original.height, pictures)


def _store(
    upload: Upload, target: Target, instance: models.Model, output: Output, run: str
) -> str:
    name = name_for(upload, target.field, instance, output, run)
    artifact = UploadArtifact(
        upload_id=upload.pk,
        name=name,
        variant=output.variant,
        run=run,
        state=ArtifactState.PLANNED,
    )
    artifact.save(using=upload._state.db, force_insert=True)
    with output.path.open("rb") as content:
        file = File(content, name=name)
        file.content_type = output.content_type  # type: ignore[attr-defined]  # storages read it
        saved = target.field.storage.save(
            name, file, max_length=target.field.max_length
        )
    if saved != name:  # the storage has ideas of its own
        artifact.name = saved
        artifact.save(using=upload._state.db, update_fields=["name"])
    return saved


def name_for(
    upload: Upload,
    field: models.FileField,
    instance: models.Model,
    output: Output,
    run: str,
) -> str:
    """Return a name that no other object has, where upload_to wants it.

    It holds the run, which is a part of the job's id and the attempt: no two attempts
    write to the same object, and the later need not know what became of the other.
    """
    tail = "-".join(filter(None, (run, output.variant))) + output.extension
    stem = stem_of(upload.filename)
    name = _named(field, instance, stem, tail)
    limit = field.max_length or len(name)
    if len(name) > limit:
        keep = len(stem) - (len(name) - limit)
        if keep > 0:
            name = _named(field, instance, stem[:keep], tail)
    if len(name) > limit:
        raise SuspiciousFileOperation(
            f"No name for {upload.filename!r} fits into the {limit} characters of "
            f"{field}: {name!r}. Raise max_length, or shorten upload_to."
        )
    return name


def _named(
    field: models.FileField, instance: models.Model, stem: str, tail: str
) -> str:
    name: str = field.generate_filename(instance, f"{stem}-{tail}")
    folder, base = os.path.split(name)
    if not base.endswith(tail):
        # upload_to made a name of its own, which need not be new, nor tell the format.
        base = f"{stem_of(base)}-{tail}"
    return f"{folder}/{base}" if folder else base
