"""Fields of models whose files arrive while their form is still being filled in."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbqueue.fields.attaching import attach as attach
    from dbqueue.fields.forms.values import AsyncFileInputData as AsyncFileInputData
    from dbqueue.fields.model.fields import AsyncFileField as AsyncFileField
    from dbqueue.fields.model.fields import AsyncImageField as AsyncImageField
    from dbqueue.fields.owners import acting as acting
    from dbqueue.fields.registry import AsyncFieldRegistry as AsyncFieldRegistry
    from dbqueue.fields.storages.azure import AzureUploadStorage as AzureUploadStorage
    from dbqueue.fields.storages.base import AsyncUploadStorage as AsyncUploadStorage
    from dbqueue.fields.storages.filesystem import (
        FileSystemUploadStorage as FileSystemUploadStorage,
    )
    from dbqueue.fields.storages.s3 import S3UploadStorage as S3UploadStorage

_NAMES = {
    "attaching": ("attach",),
    "forms.values": ("AsyncFileInputData",),
    "model.fields": ("AsyncFileField", "AsyncImageField"),
    "owners": ("acting",),
    "registry": ("AsyncFieldRegistry",),
    "storages.azure": ("AzureUploadStorage",),
    "storages.base": ("AsyncUploadStorage",),
    "storages.filesystem": ("FileSystemUploadStorage",),
    "storages.s3": ("S3UploadStorage",),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    # As in dbqueue: Django imports this package before it has loaded the models.
    if name not in _HOMES:
        raise AttributeError(f"module 'dbqueue.fields' has no attribute {name!r}")
    return getattr(import_module(f"dbqueue.fields.{_HOMES[name]}"), name)
