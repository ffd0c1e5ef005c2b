"""What AsyncFileField and AsyncImageField are besides Django's fields."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal

from django.core.exceptions import FieldError
from django.core.files.base import File
from django.db import models

from dbqueue.fields import permissions, restrictions
from dbqueue.fields.forms.fields import AsyncFileField as AsyncFileFormField
from dbqueue.fields.forms.values import AsyncFileInputData, is_key
from dbqueue.fields.model import memory
from dbqueue.fields.model.columns import AsItIs
from dbqueue.fields.permissions import Permission
from dbqueue.fields.registry import AsyncFieldRegistry, default_async_field_registry
from dbqueue.imaging.policy import FilePolicy, ImagePolicy
from dbqueue.uploads import work
from dbqueue.uploads.conf import REPLACED
from dbqueue.uploads.exceptions import UploadError

DEFAULT = object()  # of a permission: Django's own
MOVES = ("queue", "inline")
if TYPE_CHECKING:
    _Field = models.FileField
else:
    _Field = object


class AsyncFileMixin(_Field):
    """What both fields are besides Django's.

    max_size: megabytes of one file; default 100.
    file_restrictions: content types ("application/pdf", "image/*", "video/*",
        "audio/*") and endings (".csv") that are accepted; default all.
    policy: a FilePolicy, or an ImagePolicy for pictures; default by the two above.
    perm_create, perm_update, perm_detail: who may upload for a new object, replace the
        file of one, and see it: the name of a permission, a function of (request,
        instance or None), or None for everybody. Default: Django's own add, change and
        view of the model.
    move: "queue" has a worker check and store the file; "inline" has save() do it,
        after its commit.
    replaced: "keep" or "delete" the file that another one replaces, unless a field
        still names it; default DBQUEUE["UPLOADS"]["REPLACED"].
    queue_name, priority: of the job; default "uploads" and 0.
    download_params: options for the storage's generate_download_url().
    async_field_registry: the AsyncFieldRegistry to be listed in.
    """

    takes_uploads = True
    is_image = False
    default_registry = default_async_field_registry
    file_restrictions: str | Collection[str] | None
    perm_create: Any
    perm_update: Any
    perm_detail: Any
    move: str
    replaced: str | None
    queue_name: str
    priority: int
    async_field_registry: AsyncFieldRegistry

    def __init__(
        self,
        *args: Any,
        max_size: float | None = None,
        file_restrictions: str | Collection[str] | None = None,
        policy: Any = None,
        perm_create: Permission | object = DEFAULT,
        perm_update: Permission | object = DEFAULT,
        perm_detail: Permission | object = DEFAULT,
        move: Literal["queue", "inline"] = "queue",
        replaced: str | None = None,
        queue_name: str = work.QUEUE,
        priority: int = 0,
        download_params: Mapping[str, Any] | None = None,
        async_field_registry: AsyncFieldRegistry | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("max_length", 500)
        super().__init__(*args, **kwargs)
        # For clone(), as deconstruct() has what concerns the database alone.
        self._own: dict[str, Any] = {
            "max_size": max_size,
            "file_restrictions": file_restrictions,
            "policy": policy,
            "perm_create": perm_create,
            "perm_update": perm_update,
            "perm_detail": perm_detail,
            "move": move,
            "replaced": replaced,
            "queue_name": queue_name,
            "priority": priority,
            "download_params": download_params,
            "async_field_registry": async_field_registry,
        }
        self._take(**self._own)

    def _take(
        self, policy: Any, max_size: Any, download_params: Any, **own: Any
    ) -> None:
        _one_of("move", own["move"], MOVES)
        _one_of("replaced", own["replaced"], (None, *REPLACED))
        own["async_field_registry"] = (
            own["async_field_registry"] or self.default_registry
        )
        vars(self).update(own)
        self.max_size = restrictions.DEFAULT_MAX_SIZE if max_size is None else max_size
        self.download_params = dict(download_params or {})
        self.upload_policy = self._policy(policy, max_size)

    def _policy(self, given: Any, max_size: float | None) -> Any:
        names = restrictions.as_list(self.file_restrictions)
        make: Any = restrictions.image_policy if self.is_image else None
        make, kind = (
            (make, ImagePolicy) if make else (restrictions.file_policy, FilePolicy)
        )
        if given is not None and not isinstance(given, kind):
            raise ValueError(f"policy={given!r} must be of {kind.__name__}.")
        return make(given, max_size, names)

    @property
    def async_field_id(self) -> str:
        """The id by which pages know the field."""
        return self.async_field_registry.generate_id(self)

    def is_valid_filetype(self, filename: str) -> bool:
        """Tell whether a file of this name may be uploaded."""
        names = restrictions.as_list(self.file_restrictions)
        return restrictions.is_valid_name(filename, names, self.is_image)

    def upload_options(self) -> dict[str, Any]:
        """Return how an upload is saved, as its row has it."""
        options: dict[str, Any] = {"save_mode": "update", "queue_name": self.queue_name}
        options["priority"] = self.priority
        if self.replaced is not None:
            options["replaced"] = self.replaced
        return {**options, "inline": True} if self.move == "inline" else options

    def upload_variants(self) -> dict[str, Any]:
        return {}

    def clone(self) -> Any:
        _, _, args, kwargs = self.deconstruct()
        return type(self)(*args, **kwargs, **self._own)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("max_length", None)
        if self.max_length != 500:
            kwargs["max_length"] = self.max_length
        if path.startswith("dbqueue.fields."):  # not of a project's own class
            path = f"dbqueue.fields.{type(self).__name__}"
        return name, path, args, kwargs

    def contribute_to_class(self, cls: Any, name: Any, *args: Any, **how: Any) -> None:
        super().contribute_to_class(cls, name, *args, **how)
        if cls._meta.abstract:
            return
        for action in ("create", "update", "detail"):
            if getattr(self, f"perm_{action}") is DEFAULT:
                setattr(self, f"perm_{action}", self.default_permission(cls, action))
        self.async_field_registry.register_field(self)

    def default_permission(
        self, model: type[models.Model], action: permissions.Action
    ) -> str:
        """Return the name of the permission where the field was given none."""
        return permissions.default_permission(model, action)

    def before_save(self, instance: models.Model) -> None:
        """Do nothing; called before a row is saved that a file was assigned to."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Return what the column is to hold: never a file that is still to be brought.

        What was not assigned since it was read stays as the row has it, as a worker may
        have brought another file since.
        """
        file = getattr(model_instance, self.attname)
        if memory.assigned(model_instance, self) is not None:
            before = memory.before(model_instance, self)
            if before is memory.UNREAD:
                return self.get_default() if add else AsItIs(self)
            return before
        if file.name is None and file._file is not None:
            raise FieldError(
                f"The file for {self} has no name. Give it one: ContentFile(…, name=…)."
            )
        if not add and memory.is_as_read(model_instance, self, file.name or ""):
            return AsItIs(self)
        return file

    def get_prep_value(self, value: Any) -> Any:
        """Return the name for the column. Raises UploadError for what has none yet."""
        if (
            isinstance(value, AsyncFileInputData)
            or (isinstance(value, str) and is_key(value))
            or (isinstance(value, File) and not getattr(value, "_committed", False))
        ):
            raise UploadError(
                f"{value!r} cannot be written to the column of {self.name} by update() "
                "or bulk_update(): it is not stored yet. Assign it and save()."
            )
        return super().get_prep_value(value)

    def formfield(self, **kwargs: Any) -> Any:
        if _is_of_admin(kwargs.get("widget")):
            del kwargs["widget"]  # for plain files
        known = {
            "form_class": AsyncFileFormField,
            "async_field_registry": self.async_field_registry,
            "async_field_id": self.async_field_id,
            "storage": self.storage,
        }
        return super().formfield(**{**known, **kwargs})


def _one_of(name: str, value: Any, known: Collection[Any]) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r} must be one of {tuple(known)}.")


def _is_of_admin(widget: Any) -> bool:
    kind = widget if isinstance(widget, type) else type(widget)
    return kind.__module__ == "django.contrib.admin.widgets"
