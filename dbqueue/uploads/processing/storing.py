"""Objects in the field's storage: named, put on record, created."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.core.files import File
from django.db import models

from dbqueue.uploads.exceptions import UploadNotStorable
from dbqueue.uploads.models import ArtifactState, Upload, UploadArtifact
from dbqueue.uploads.targets import Target

# What only somebody who changes the code, the settings or the rights can remove.
_FOR_GOOD = (
    SuspiciousOperation,
    ImproperlyConfigured,
    PermissionError,
    NotADirectoryError,
    IsADirectoryError,
    ImportError,
    NotImplementedError,
    AttributeError,
    TypeError,
)
_CODES_FOR_GOOD = (
    "NoSuchBucket",
    "InvalidBucketName",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
)


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

    @classmethod
    def under(cls, names: dict[str, str], outputs: list[Output]) -> "Stored":
        """Return the outputs as they are stored under names, by variant."""
        original, *others = outputs
        pictures: dict[str, dict[str, str | int | None]] = {
            one.variant: {
                "name": names[one.variant],
                "width": one.width,
                "height": one.height,
            }
            for one in others
        }
        return cls(names[""], original.width, original.height, pictures)


def stored_before(
    upload: Upload, target: Target, outputs: list[Output]
) -> tuple[Stored, str] | None:
    """Return what an earlier attempt stored, and its run, if the field has it.

    Where the model is in another database than the jobs, its commit comes first, and an
    attempt may die between the two.
    """
    artifacts = UploadArtifact.objects.of(upload)
    made = artifacts.exclude(run="")  # not what it replaces, nor what holds its bytes
    held = made.filter(variant="", name=target.current_name() or "").first()
    if held is None:
        return None
    rows = artifacts.filter(run=held.run)
    return Stored.under(dict(rows.values_list("variant", "name")), outputs), held.run


@dataclass(frozen=True, slots=True)
class Storing:
    """What one attempt, the run, stores of an upload; each is on record beforehand."""

    upload: Upload
    field: models.FileField
    instance: models.Model
    run: str

    def store(self, outputs: list[Output]) -> Stored:
        """Save the outputs under new names."""
        names = {output.variant: self._store(output) for output in outputs}
        return Stored.under(names, outputs)

    def _store(self, output: Output) -> str:
        name = self._new_name(output)
        artifact = UploadArtifact(
            upload_id=self.upload.pk,
            name=name,
            variant=output.variant,
            run=self.run,
            state=ArtifactState.PLANNED,
        )
        artifact.save(using=self.upload.held_in, force_insert=True)
        with output.path.open("rb") as content:
            file = File(content, name=name)
            file.content_type = output.content_type  # type: ignore[attr-defined]  # storages read it
            storage, longest = self.field.storage, self.field.max_length
            saved = _save(storage, name, file, longest)
        if saved != name:  # the storage has chosen another
            artifact.name = saved
            artifact.save(using=self.upload.held_in, update_fields=["name"])
        return saved

    def _new_name(self, output: Output) -> str:
        """Return a name that no other object has, where upload_to wants it.

        It holds the run, which is a part of the job's id and the attempt: no two
        attempts write to the same object, and the later need not know what became of
        the other.
        """
        tail = "-".join(filter(None, (self.run, output.variant))) + output.extension
        stem, _ = os.path.splitext(self.upload.filename)
        name = named(self.field, self.instance, stem, tail)
        limit = self.field.max_length or len(name)
        if len(name) > limit:
            keep = max(1, len(stem) - (len(name) - limit))
            name = named(self.field, self.instance, stem[:keep], tail)
        if len(name) > limit:
            raise UploadNotStorable(no_room(self.field, name))
        return name


def named(
    field: models.FileField, instance: models.Model | None, stem: str, tail: str
) -> str:
    """Return the name under which upload_to wants `stem`, made new by `tail`."""
    # An upload_to that is a text does not look at the instance.
    name: str = field.generate_filename(instance, f"{stem}-{tail}")  # type: ignore[arg-type]  # see above
    folder, base = os.path.split(name)
    if not base.endswith(tail):
        # upload_to made a name of its own, which need not be new, nor tell the format.
        base = f"{os.path.splitext(base)[0]}-{tail}"
    return f"{folder}/{base}" if folder else base


def no_room(field: models.FileField, name: str) -> str:
    return (
        f"No name fits into the {field.max_length} characters of {field}, such as "
        f"{name!r}. Raise max_length, or shorten upload_to."
    )


def _save(storage: Any, name: str, file: "File[bytes]", longest: int | None) -> str:
    try:
        saved = storage.save(name, file, max_length=longest)
    except Exception as error:  # any storage class
        if _is_for_good(error):
            raise UploadNotStorable(
                f"{storage} cannot save {name!r}: {type(error).__name__}: {error}"
            ) from error
        raise
    if not isinstance(saved, str):
        raise UploadNotStorable(
            f"{storage}.save() returned {saved!r} for {name!r}, and not a name."
        )
    return saved


def _is_for_good(error: Exception) -> bool:
    # As of boto3's ClientError, which is not known here.
    answer = getattr(error, "response", None)
    code = answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None
    too_long = isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG
    return isinstance(error, _FOR_GOOD) or too_long or code in _CODES_FOR_GOOD
