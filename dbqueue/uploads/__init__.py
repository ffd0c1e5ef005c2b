"""Uploads that are pending in the database until a worker has saved them safely."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbqueue.imaging.policy import FilePolicy as FilePolicy
    from dbqueue.imaging.policy import ImagePolicy as ImagePolicy
    from dbqueue.imaging.policy import Variant as Variant
    from dbqueue.uploads.display.pending import prefetch_uploads as prefetch_uploads
    from dbqueue.uploads.display.pending import uploads_for as uploads_for
    from dbqueue.uploads.exceptions import ContentRejected as ContentRejected
    from dbqueue.uploads.exceptions import UploadError as UploadError
    from dbqueue.uploads.handle import UploadHandle as UploadHandle
    from dbqueue.uploads.saving import asave_file as asave_file
    from dbqueue.uploads.saving import asave_image as asave_image
    from dbqueue.uploads.saving import save_file as save_file
    from dbqueue.uploads.saving import save_image as save_image

_NAMES = {
    "imaging.policy": ("FilePolicy", "ImagePolicy", "Variant"),
    "uploads.display.pending": ("prefetch_uploads", "uploads_for"),
    "uploads.exceptions": ("ContentRejected", "UploadError"),
    "uploads.handle": ("UploadHandle",),
    "uploads.saving": ("asave_file", "asave_image", "save_file", "save_image"),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    # As in dbqueue: Django imports this package before it has loaded the models.
    if name not in _HOMES:
        raise AttributeError(f"module 'dbqueue.uploads' has no attribute {name!r}")
    return getattr(import_module(f"dbqueue.{_HOMES[name]}"), name)
