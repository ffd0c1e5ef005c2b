"""AzureUploadStorage: browsers send files to a container, by addresses signed here."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils.http import content_disposition_header

from dbqueue.exceptions import MissingExtra
from dbqueue.fields import conf
from dbqueue.fields.storages.base import ATTACHMENT, AsyncUploadStorage, picture_type

try:
    from azure.core.exceptions import ResourceNotFoundError
    from azure.storage.blob import (
        BlobSasPermissions,
        ContentSettings,
        generate_blob_sas,
    )
    from storages.backends.azure_storage import AzureStorage
except ImportError as error:
    raise MissingExtra(
        "dbqueue.fields.storages.azure needs the packages azure-storage-blob and "
        "django-storages, which are not installed. Run: "
        "pip install 'dbqueue-django[azure]'"
    ) from error


class AzureUploadStorage(AsyncUploadStorage, AzureStorage):  # type: ignore[misc]  # untyped
    """AzureStorage of django-storages, to which browsers send files themselves.

    The address that is signed for one file lets it be created and nothing else: not
    read, and not overwritten. How large it is, Azure does not ask: a file of another
    size than was said is deleted when it has arrived. The account needs a CORS rule;
    see the guide. Options are AzureStorage's.

    Raises MissingExtra, on import, without azure-storage-blob and django-storages.
    """

    provider = "azure"

    def problem(self) -> str | None:
        if not self.azure_container:
            return "it has no azure_container"
        if not (self.account_key or self.token_credential):
            return "it has neither an account_key nor a token_credential"
        return None

    def sign_upload(
        self,
        key: str,
        *,
        content_type: str,
        max_size: int,
        size: int | None,
        seconds: float,
        field_id: str,
    ) -> dict[str, Any]:
        return {
            "url": self._signed(key, seconds, BlobSasPermissions(create=True)),
            "fields": {},
            "method": "PUT",
            "headers": {
                "x-ms-blob-type": "BlockBlob",
                "x-ms-blob-content-disposition": ATTACHMENT,
                "Content-Type": content_type,
            },
            "fileFieldName": None,
        }

    def put(self, key: str, file: Any) -> None:
        kind = ContentSettings(
            content_type="application/octet-stream", content_disposition=ATTACHMENT
        )
        self._blob(key).upload_blob(file, content_settings=kind, overwrite=False)

    def measure(self, key: str) -> int | None:
        try:
            return int(self.size(key))
        except ResourceNotFoundError:
            return None

    def beginning(self, key: str, length: int) -> bytes:
        stream = self._blob(key).download_blob(offset=0, length=length)
        data: bytes = stream.readall()
        return data

    def generate_download_url(self, key: str, field_id: str, **params: Any) -> str:
        """Return an address that anybody can download an object from, for a time.

        `expire` is in seconds; default URL_AGE of FIELDS. `parameters` are those of
        generate_blob_sas(); by default all but pictures are files to save.
        """
        asked = dict(params.get("parameters") or {})
        if picture_type(key) is None:
            header = content_disposition_header(True, key.rpartition("/")[2])
            asked = {"content_disposition": header, **asked}
        age = params.get("expire") or conf.current().url_age
        return self.url(key, expire=int(age), parameters=asked)

    def _signed(self, key: str, seconds: float, permission: Any) -> str:
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        blob = self._blob(key)
        token = generate_blob_sas(
            blob.account_name,
            blob.container_name,
            blob.blob_name,
            account_key=self.account_key,
            # AzureStorage compares it with a time that has no zone.
            user_delegation_key=self.get_user_delegation_key(
                until.replace(tzinfo=None)
            ),
            permission=permission,
            expiry=until,
            protocol="https" if blob.url.startswith("https:") else None,
        )
        return f"{blob.url}?{token}"

    def _blob(self, key: str) -> Any:
        return self.client.get_blob_client(self._get_valid_path(key))
