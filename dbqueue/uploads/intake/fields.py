"""Fields that no upload can be saved to, found when one is handed over."""

from collections.abc import Collection

from django.db import models
from django.db.models.fields.files import FieldFile

from dbqueue.uploads.exceptions import UploadFieldUnsupported
from dbqueue.uploads.processing.storing import named, no_room

_RUN = "0123456789ab-99"  # as long as what makes a name new
_ENDING = ".webp"  # the longest of a picture


def check_field(
    field: models.FileField,
    instance: models.Model,
    variants: Collection[str],
    save_mode: str,
) -> None:
    """Raise UploadFieldUnsupported if the field cannot be written from outside.

    That is, past a save() or a pre_save() of its own that does more than Django's, or
    under a name that fits into its column.
    """
    _check_saving(field, save_mode)
    problem = problem_of_names(field, instance, variants)
    if problem:
        raise UploadFieldUnsupported(problem)


def problem_of_names(
    field: models.FileField,
    instance: models.Model | None = None,
    variants: Collection[str] = (),
) -> str:
    """Return why no name of an upload fits into the column, "" if one does.

    Without an instance, an upload_to that wants one counts for nothing.
    """
    longest = max(variants, key=len, default="")
    tail = "-".join(filter(None, (_RUN, longest))) + _ENDING
    name = f"u-{tail}"
    if instance is not None or not callable(field.upload_to):
        name = named(field, instance, "u", tail)
    is_short = field.max_length is not None and len(name) > field.max_length
    return no_room(field, name) if is_short else ""


def _check_saving(field: models.FileField, save_mode: str) -> None:
    kind = type(field).__name__
    if field.attr_class.save is not FieldFile.save:
        raise UploadFieldUnsupported(
            f"{field} is a {kind}, which does work of its own when its file is saved; "
            "an upload would pass it over. Use a field of Django's, with variants=…, "
            "or save the file yourself in a task."
        )
    own = type(field).pre_save is not models.FileField.pre_save
    if own and save_mode != "save" and not getattr(field, "takes_uploads", False):
        raise UploadFieldUnsupported(
            f"{field} is a {kind}, which does work of its own when the model is saved; "
            'an upload would pass it over. Pass save_mode="save".'
        )
