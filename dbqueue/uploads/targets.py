"""The field of a row that an upload is for: found, read and, if unchanged, written."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import connections, models, router
from django.db.models.fields.files import ImageField

from dbqueue.conf import nearest
from dbqueue.uploads.exceptions import (
    InstanceNotSaved,
    UploadError,
    UploadFieldUnknown,
)
from dbqueue.uploads.models import Upload


@dataclass(frozen=True, slots=True)
class Target:
    """A file field of one row, named by the model whose table has the column."""

    model: type[models.Model]
    pk: Any
    field: models.FileField
    database: str
    given_as: type[models.Model]

    @property
    def label(self) -> str:
        return self.model._meta.label

    def key(self) -> dict[str, str]:
        """Return the columns of Upload that name the field of the row."""
        return {
            "model": self.label,
            "object_pk": str(self.pk),
            "field_name": self.field.name,
            "database": self.database,
        }

    def current_name(self) -> str | None:
        """Return what the column holds. Raises InstanceNotSaved if there is no row."""
        for name in self._row().values_list(self.field.attname, flat=True):
            return None if name is None else str(name)
        raise InstanceNotSaved(
            f"{self.label} {self.pk!r} is not in database {self.database!r}. Save the "
            "instance first; the same transaction will do."
        )

    def lock(self) -> None:
        """Lock the row until the end of the transaction, if it is there."""
        no_key = connections[self.database].features.has_select_for_no_key_update
        self._row().select_for_update(no_key=no_key).values_list("pk").first()

    def instance(self) -> models.Model | None:
        """Return the row as an instance of the class it was given as, or None."""
        return self._rows(self.given_as).first()

    def holds(self, name: str | None) -> bool:
        return bool(self._row_holding(name).exists())

    def replace(self, expected: str | None, values: dict[str, Any]) -> bool:
        """Write the columns if the field still holds what is expected."""
        return bool(self._row_holding(expected).update(**values))

    def locked(self, expected: str | None) -> models.Model | None:
        """Return the instance, its row locked, if the field holds what is expected."""
        self.lock()
        return self.instance() if self.holds(expected) else None

    def columns(
        self, name: str, width: int | None, height: int | None
    ) -> dict[str, Any]:
        """Return what is written with a name: also the dimensions, where kept."""
        found: dict[str, Any] = {self.field.name: name}
        if isinstance(self.field, ImageField):
            field: Any = self.field  # the stubs know no width_field
            if field.width_field:
                found[field.width_field] = width
            if field.height_field:
                found[field.height_field] = height
        return found

    def _row(self) -> Any:
        # Of the owning table: an UPDATE through a child would select its rows first.
        return self._rows(self.model)

    def _rows(self, model: type[models.Model]) -> "models.QuerySet[Any]":
        # By no manager: even the base manager of a project may hide rows.
        rows: models.QuerySet[Any] = models.QuerySet(model, using=self.database)
        return rows.filter(**{self.model._meta.pk.name: self.pk})

    def _row_holding(self, name: str | None) -> Any:
        held = models.Q(**{self.field.name: name or ""})
        if not name:
            # Saving an instance turns the NULL of a file field into "".
            held |= models.Q(**{f"{self.field.name}__isnull": True})
        return self._row().filter(held)


def target_of(
    instance: models.Model, field: models.FileField, using: str | None
) -> Target:
    """Return the target for a field of an instance. Raises InstanceNotSaved."""
    owner: type[models.Model] = field.model._meta.concrete_model or field.model
    pk = getattr(instance, owner._meta.pk.attname)
    if pk is None or isinstance(pk, tuple):
        raise InstanceNotSaved(
            f"{instance!r} has {'no' if pk is None else 'a composite'} primary key. "
            "Save the instance first, and give its model a key of one column."
        )
    # As Model.save() does: it may have been read from a replica.
    database = using or router.db_for_write(type(instance), instance=instance)
    return Target(owner, pk, field, database, type(instance))


def target_of_upload(upload: Upload) -> Target:
    """Return the target that a row names. Raises UploadFieldUnknown without one."""
    try:
        model, given_as = map(apps.get_model, (upload.model, upload.given_as))
        field = model._meta.get_field(upload.field_name)
        # One that was never attached has a field, and no row.
        pk = model._meta.pk.to_python(upload.object_pk or None)
    except (LookupError, ValueError, FieldDoesNotExist, ValidationError) as error:
        raise _unknown(upload, str(error)) from error
    if not isinstance(field, models.FileField):
        raise _unknown(upload, "it is not a FileField.")
    if upload.database not in connections:
        raise _unknown(upload, f"DATABASES has no {upload.database!r}.")
    return Target(model, pk, field, upload.database, given_as)


def _unknown(upload: Upload, reason: str) -> UploadFieldUnknown:
    return UploadFieldUnknown(
        f"Upload {upload.pk} is for {upload.field_name!r} of {upload.model!r} "
        f"{upload.object_pk!r}, which does not exist here: {reason}"
    )


def file_fields() -> Iterator[models.FileField]:
    """Yield the file fields of all models, each as its own model has it."""
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, models.FileField):
                yield field


def find_field(
    instance: Any,
    field_name: str | None,
    kind: type[models.FileField] = models.FileField,
    form_name: str | None = None,
) -> models.FileField:
    """Return the field that an upload is for.

    `field_name` names it. Without one, the name in the form does, behind the prefix of
    a form or formset ("form-0-photo"); a file that carries no name of a form fits a
    model with a single such field. Raises UploadFieldUnknown, and UploadError for what
    is not an instance of a model.
    """
    if not isinstance(instance, models.Model):
        raise UploadError(f"{instance!r} is not a model instance.")
    fields = {f.name: f for f in instance._meta.get_fields() if isinstance(f, kind)}
    label, named = type(instance).__name__, field_name or form_name
    if named in fields:
        return fields[named]
    if field_name is None and form_name:
        # The longest, so that "form-0-cover-photo" is not "photo" where both exist.
        for name in sorted(fields, key=len, reverse=True):
            if form_name.endswith(f"-{name}"):
                return fields[name]
    if named:
        near = nearest(str(named), fields)
        problem = f"{label} has no {kind.__name__} {named!r}.{near}"
    elif len(fields) == 1:
        return next(iter(fields.values()))
    else:
        problem = f"The file does not say which field of {label} it is for."
    raise UploadFieldUnknown(
        f"{problem} Give field_name, one of: {', '.join(fields) or 'none'}."
    )
