"""AsyncFileField and AsyncImageField: a worker brings their files in after a save."""

from collections.abc import Mapping
from typing import Any

from django.db import models
from django.db.models.signals import class_prepared, post_save, pre_save

from dbqueue.fields import attaching
from dbqueue.fields.forms.fields import AsyncImageField as AsyncImageFormField
from dbqueue.fields.model import memory
from dbqueue.fields.model.files import (
    AsyncFieldFile,
    AsyncFileDescriptor,
    AsyncImageDescriptor,
    AsyncImageFieldFile,
)
from dbqueue.fields.model.mixin import AsyncFileMixin
from dbqueue.imaging.policy import Variant


class AsyncFileField(AsyncFileMixin, models.FileField):
    """A FileField whose file may arrive before its form; see AsyncFileMixin."""

    attr_class = AsyncFieldFile
    descriptor_class = AsyncFileDescriptor


class AsyncImageField(AsyncFileMixin, models.ImageField):
    """An ImageField whose picture may arrive before its form; see AsyncFileMixin.

    variants: further pictures to make, Variants by name.
    suppress_pillow_check: whether this process may go without Pillow; workers need it.
    """

    attr_class = AsyncImageFieldFile
    descriptor_class = AsyncImageDescriptor
    is_image = True

    def __init__(
        self,
        *args: Any,
        variants: Mapping[str, Variant] | None = None,
        suppress_pillow_check: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.variants = dict(variants or {})
        self.suppress_pillow_check = suppress_pillow_check
        self._own |= {
            "variants": self.variants,
            "suppress_pillow_check": suppress_pillow_check,
        }

    def upload_variants(self) -> dict[str, Any]:
        return {name: variant.as_json() for name, variant in self.variants.items()}

    def check(self, **kwargs: Any) -> Any:
        if self.suppress_pillow_check:
            return super(models.ImageField, self).check(**kwargs)
        return super().check(**kwargs)

    def update_dimension_fields(
        self, instance: models.Model, force: bool = False, *args: Any, **kwargs: Any
    ) -> None:
        # Nothing is decoded here that no worker has looked at.
        if memory.assigned(instance, self) is None:
            super().update_dimension_fields(instance, force, *args, **kwargs)

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": AsyncImageFormField, **kwargs})


def _listen(sender: Any, **kwargs: Any) -> None:
    """Have a model's saves hand over what was assigned to its upload fields."""
    if memory.upload_fields(sender) and sender.__module__ != "__fake__":
        pre_save.connect(attaching.before_save, sender=sender)
        post_save.connect(attaching.after_save, sender=sender)


class_prepared.connect(_listen)
