"""What an instance remembers of an upload field until it is saved.

It is in the instance's __dict__, beside the field's own value: the name as it was read,
and the name that a file was assigned over.
"""

from functools import cache
from typing import Any

from django.core.files.base import File
from django.db import models
from django.db.models.fields.files import FieldFile

from dbqueue.uploads.models import Upload

# Of a deferred field: the name was never read.
UNREAD = object()
_SHOWN = "_dbqueue_uploads"  # what pages know; see dbqueue.uploads.display.pending


@cache
def upload_fields(model: type[models.Model]) -> tuple[Any, ...]:
    """Return the upload fields of a model, also those of its parents."""
    fields = model._meta.concrete_fields
    return tuple(field for field in fields if getattr(field, "takes_uploads", False))


def note(instance: models.Model, field: Any, value: Any) -> None:
    """Remember what is about to be assigned over what."""
    held = instance.__dict__
    is_new = field.attname not in held
    if isinstance(value, File) and getattr(value, "_committed", False) is False:
        held.pop(_read(field), None)
        if _before(field) not in held:
            held[_before(field)] = _replaced(instance, field, is_new)
        return
    held.pop(_before(field), None)
    if is_new and instance._state.adding:  # by Model.__init__
        held[_read(field)] = (held.get(_pk(field)), _name(value))
        return
    held.pop(_read(field), None)
    if not value:
        held[_emptied(field)] = True


def assigned(instance: models.Model, field: Any) -> Any:
    """Return the FieldFile of a file that was assigned and not handed over, or None."""
    if _before(field) not in instance.__dict__:
        return None
    file = getattr(instance, field.attname)
    return file if file and not file._committed else None


def before(instance: models.Model, field: Any) -> Any:
    """Return the name that a file was assigned over, or UNREAD."""
    return instance.__dict__.get(_before(field), UNREAD)


def is_as_read(instance: models.Model, field: Any, name: str) -> bool:
    """Tell whether a field of a row was not assigned since the row was read."""
    if instance._state.adding or instance._state.db is None:
        return False  # made by a program, whatever its key
    pk = instance.__dict__.get(_pk(field))
    return instance.__dict__.get(_read(field)) == (pk, name) and pk is not None


def note_database(instance: models.Model, using: str | None) -> None:
    """Remember nothing of a row that is saved to another database than it is of."""
    if instance._state.db != using:
        for field in upload_fields(type(instance)):
            instance.__dict__.pop(_read(field), None)


def was_emptied(instance: models.Model, field: Any) -> bool:
    return bool(instance.__dict__.pop(_emptied(field), False))


def forget(instance: models.Model, field: Any) -> None:
    """Have the field hold again what it held before a file was assigned."""
    held = instance.__dict__
    name = held.pop(_before(field), UNREAD)
    held.pop(_SHOWN, None)
    held.pop(field.attname, None)
    if name is not UNREAD:
        held[field.attname] = name


def note_saved(instance: models.Model, field: Any) -> None:
    """Remember that the row has what the instance has."""
    held = instance.__dict__
    if field.attname in held and _before(field) not in held:
        held[_read(field)] = (held.get(_pk(field)), _name(held[field.attname]))


def show(instance: models.Model, field: Any, upload: Upload) -> None:
    """Have the instance hold what an upload became."""
    held = instance.__dict__
    held[field.attname] = upload.final_name
    held.pop(_SHOWN, None)
    for name, value in (
        (getattr(field, "width_field", None), upload.width),
        (getattr(field, "height_field", None), upload.height),
    ):
        if name:
            setattr(instance, name, value)
    note_saved(instance, field)


def _replaced(instance: models.Model, field: Any, is_new: bool) -> Any:
    value = instance.__dict__.get(field.attname)
    if is_new:
        return _name(field.get_default()) if instance._state.adding else UNREAD
    return value if value is None else _name(value)


def _name(value: Any) -> str:
    name = value.name if isinstance(value, FieldFile) else value
    return str(name or "")


def _pk(field: Any) -> str:
    return str(field.model._meta.pk.attname)


def _read(field: Any) -> str:
    return f"_{field.attname}_as_read"


def _before(field: Any) -> str:
    return f"_{field.attname}_before"


def _emptied(field: Any) -> str:
    return f"_{field.attname}_emptied"
