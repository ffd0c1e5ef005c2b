"""save_image(), as views call it that were written for async_image_save."""

from typing import Any

from django.db import models

from dbqueue.imaging.policy import ImagePolicy
from dbqueue.uploads.intake.submission import Submission


def save_image(imagefield_data: Any, instance: models.Model) -> None:
    """Have a worker save an uploaded image to the model's field of the same name.

    As in async_image_save: two positional arguments, the field found from the form's,
    the model's save signals sent, the whole cache cleared afterwards, nothing returned.

    What differs: the image is pending in the database until then, written in the
    caller's transaction with its job. Only its column is saved, if that is unchanged.
    The image is decoded, checked and re-encoded under a name of its own, without its
    metadata. At once an UploadError, a ValueError, is raised for a field that cannot be
    found, an instance without a row, and a file that is empty, too large or not an
    image.
    """
    # clear_cache is for compat.receivers.
    options = {"save_mode": "save", "clear_cache": True}
    policy = ImagePolicy()
    Submission(imagefield_data, instance, None, policy, options=options).place()
