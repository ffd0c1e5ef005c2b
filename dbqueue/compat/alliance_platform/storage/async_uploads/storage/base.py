"""AsyncUploadStorage, and the methods that alliance-platform-storage gives storages."""

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from django.core.files.base import File

from dbqueue.compat.alliance_platform import settings
from dbqueue.fields import conf
from dbqueue.fields.registry import field_of
from dbqueue.fields.storages import base

__all__ = ["AsyncUploadStorage", "GenerateUploadUrlResponse"]

if TYPE_CHECKING:
    _Storage = base.AsyncUploadStorage
else:
    _Storage = object


class GenerateUploadUrlResponse(TypedDict):
    """Where, and how, a browser sends a file."""

    url: str
    fields: dict[str, str]
    method: NotRequired[str]
    provider: NotRequired[str]
    headers: NotRequired[dict[str, str]]
    fileFieldName: NotRequired[str]


class AllianceNames(_Storage):
    """The methods by their names there, and a storage's own by those names used."""

    @property
    def upload_age(self) -> float | None:  # type: ignore[override]  # not set anywhere
        return settings.upload_age()

    @property
    def arrives_for(self) -> float:
        longest = max(settings.upload_age() or 0.0, conf.current().url_age)
        return 0.0 if self.receives_here else 2 * longest

    def sign_upload(self, key: str, *, seconds: float, **asked: Any) -> dict[str, Any]:
        """Return what generate_upload_url() does, where a project has its own."""
        age = self.upload_age or seconds
        if type(self).generate_upload_url is AllianceNames.generate_upload_url:
            return super().sign_upload(key, seconds=age, **asked)
        kind = asked["content_type"]
        sizes = ["content-length-range", 0, asked["max_size"]]
        signed: Any = self.generate_upload_url(
            key,
            asked["field_id"],
            fields={"Content-Type": kind} if kind else None,
            conditions=[
                sizes,
                ["eq" if kind else "starts-with", "$Content-Type", kind],
            ],
        )
        found = {"url": signed} if isinstance(signed, str) else signed
        usual = {"method": "POST", "fields": {}, "headers": {}, "fileFieldName": "file"}
        return {**usual, **found}

    def generate_upload_url(
        self, name: str, field_id: str, *args: Any, **kwargs: Any
    ) -> Any:
        """Return where, and how, a browser sends an object.

        expire: in seconds. `fields` and `conditions` are not taken: they are those of
        the field.
        """
        return super().sign_upload(
            name,
            content_type="application/octet-stream",
            max_size=_largest(field_id),
            size=None,
            seconds=kwargs.get("expire") or self.upload_age or conf.current().url_age,
            field_id=field_id,
        )

    def generate_download_url(self, key: str, field_id: str, **params: Any) -> str:
        """Return an address to download from; `expire` is in seconds."""
        if age := settings.download_age():
            params.setdefault("expire", age)
        return super().generate_download_url(key, field_id, **params)

    def move_file(self, from_key: str, to_key: str) -> None:
        """Move an object; for projects that do it themselves. dbqueue does not.

        Raises FileExistsError rather than put it in the place of another.
        """
        taken = FileExistsError(f"{to_key!r} is there already.")
        if self.measure(to_key) is not None:  # S3Storage would save over it
            raise taken
        with self.open(from_key) as file:
            stored = self.save(to_key, File(file))
        if stored != to_key:
            self.delete(stored)
            raise taken
        self.delete(from_key)


class AsyncUploadStorage(AllianceNames, base.AsyncUploadStorage):
    """A storage of a project's own: it has generate_upload_url(), and Django's methods.

    Its generate_download_url() may be its own, too. What was sent is stored by save(),
    under the name that the field gives it, and not by move_file().
    """

    def put(self, key: str, file: Any) -> None:
        self.save(key, file)


def _largest(field_id: str) -> int:
    """Return the most bytes of a file for a field. Raises ValueError."""
    if (field := field_of(field_id)) is None:
        raise ValueError(f"No upload field has the id {field_id!r}.")
    most: int = field.upload_policy.max_size
    return most
