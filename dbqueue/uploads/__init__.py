"""Uploads that wait in the database until a worker has made them safe and saved."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbqueue.exceptions import ContentRejected, UploadError
    from dbqueue.uploads.handle import UploadHandle
    from dbqueue.uploads.pending import prefetch_uploads, uploads_for
    from dbqueue.uploads.policy import FilePolicy, ImagePolicy, Variant
    from dbqueue.uploads.saving import asave_file, asave_image, save_file, save_image

__all__ = [
    "ContentRejected",
    "FilePolicy",
    "ImagePolicy",
    "UploadError",
    "UploadHandle",
    "Variant",
    "asave_file",
    "asave_image",
    "prefetch_uploads",
    "save_file",
    "save_image",
    "uploads_for",
]

_HOMES = {
    "ContentRejected": "dbqueue.exceptions",
    "FilePolicy": "dbqueue.uploads.policy",
    "ImagePolicy": "dbqueue.uploads.policy",
    "UploadError": "dbqueue.exceptions",
    "UploadHandle": "dbqueue.uploads.handle",
    "Variant": "dbqueue.uploads.policy",
    "asave_file": "dbqueue.uploads.saving",
    "asave_image": "dbqueue.uploads.saving",
    "prefetch_uploads": "dbqueue.uploads.pending",
    "save_file": "dbqueue.uploads.saving",
    "save_image": "dbqueue.uploads.saving",
    "uploads_for": "dbqueue.uploads.pending",
}


def __getattr__(name: str) -> Any:
    # The sandbox imports its part of this package, and must do without Django.
    if name not in _HOMES:
        raise AttributeError(f"module 'dbqueue.uploads' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
