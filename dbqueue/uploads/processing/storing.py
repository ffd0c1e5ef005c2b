"""Objects in the field's storage: named, put on record, created."""

import os
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.db import models

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
    held = artifacts.filter(variant="", name=target.current_name() or "").first()
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
            saved = storage.save(name, file, max_length=longest)
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
        name = self._named(stem, tail)
        limit = self.field.max_length or len(name)
        if len(name) > limit:
            keep = len(stem) - (len(name) - limit)
            if keep > 0:
                name = self._named(stem[:keep], tail)
        if len(name) > limit:
            raise SuspiciousFileOperation(
                f"No name for {self.upload.filename!r} fits into the {limit} "
                f"characters of {self.field}: {name!r}. Raise max_length, or shorten "
                "upload_to."
            )
        return name

    def _named(self, stem: str, tail: str) -> str:
        name: str = self.field.generate_filename(self.instance, f"{stem}-{tail}")
        folder, base = os.path.split(name)
        if not base.endswith(tail):
            # upload_to made a name of its own, which need not be new, nor tell the
            # format.
            base = f"{os.path.splitext(base)[0]}-{tail}"
        return f"{folder}/{base}" if folder else base
