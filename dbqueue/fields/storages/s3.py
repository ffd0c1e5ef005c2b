"""S3UploadStorage: browsers send files to a bucket, by forms that are signed here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.utils.http import content_disposition_header

from dbqueue.exceptions import MissingExtra
from dbqueue.fields import conf
from dbqueue.fields.exceptions import TokenExpired
from dbqueue.fields.storages.base import ATTACHMENT, AsyncUploadStorage, picture_type
from dbqueue.uploads.chunks import CHUNK_SIZE
from dbqueue.uploads.exceptions import UploadIncomplete, UploadUsed

try:
    from botocore.config import Config
    from botocore.exceptions import ClientError
    from storages.backends.s3 import S3Storage
except ImportError as error:
    raise MissingExtra(
        "dbqueue.fields.storages.s3 needs the packages boto3 and django-storages, "
        "which are not installed. Run: pip install 'dbqueue-django[s3]'"
    ) from error

MIB = 2**20
PARTS_FROM = 100 * MIB  # bytes; what is not larger is sent again after a break
LEAST_PART = 16 * MIB  # bytes
MOST_PARTS = 1000  # each has an address in the answer
LEAST_PART_HERE = 5 * MIB  # bytes; S3 wants so many of all parts but the last
MOST_PARTS_HERE = 10_000  # of which S3 makes one object
LONGEST = 604_800  # seconds for which S3 accepts an address
IN_MEMORY = 4 * MIB  # bytes of a file that is read
_NAMED = ("PartNumber", "ETag")
# What is wrong with parts that a browser has sent, or another request sends.
_NOT_ALL = ("InvalidPart", "InvalidPartOrder", "EntityTooSmall")


class S3UploadStorage(AsyncUploadStorage, S3Storage):  # type: ignore[misc]  # untyped
    """S3Storage of django-storages, to which browsers send files themselves.

    The form that is signed for one file names its key, its content type and its size,
    and S3 refuses any other. A file over 100 MiB goes in parts, each to an address of
    its own. The bucket needs a CORS rule; see the guide. Options are S3Storage's.

    Raises MissingExtra, on import, without boto3 and django-storages.
    """

    provider = "s3"
    takes_parts = True
    client_config: Any
    max_memory_size: int

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if self.client_config.signature_version is None:
            # botocore would sign forms in the old way, which leaves fields unsigned.
            current = Config(signature_version="s3v4")
            self.client_config = self.client_config.merge(current)
        # S3Storage keeps all that it reads in memory, unless it is told otherwise.
        self.max_memory_size = self.max_memory_size or IN_MEMORY

    @property
    def is_public(self) -> bool:  # type: ignore[override]  # by its options
        unsigned = self.custom_domain and not self.cloudfront_signer
        acl = str(self.default_acl or "")
        return not self.querystring_auth or bool(unsigned) or acl.startswith("public-")

    def problem(self) -> str | None:
        return None if self.bucket_name else "it has no bucket_name"

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
        fields = {
            "Content-Type": content_type,
            "Content-Disposition": ATTACHMENT,
            "success_action_status": "201",
        }
        # What was said is what may come; not even an empty file is let in for it.
        least, most = (1, max_size) if size is None else (size, size)
        conditions = [
            *({name: value} for name, value in fields.items()),
            ["content-length-range", least, most],
        ]
        form = self._client.generate_presigned_post(
            self.bucket_name,
            self._name(key),
            Fields=fields,
            Conditions=conditions,
            ExpiresIn=min(int(seconds), LONGEST),
        )
        return {**form, "method": "POST", "headers": {}, "fileFieldName": "file"}

    def begin_parts(
        self, key: str, *, content_type: str, size: int
    ) -> dict[str, Any] | None:
        if size <= PARTS_FROM:
            return None
        part = max(LEAST_PART, -(-size // MOST_PARTS))
        return self._begin_parts(key, content_type, part)

    def begin_parts_here(
        self, key: str, *, content_type: str, size: int
    ) -> dict[str, Any]:
        chunks = -(-size // MOST_PARTS_HERE // CHUNK_SIZE)
        part = max(LEAST_PART_HERE, chunks * CHUNK_SIZE)
        return self._begin_parts(key, content_type, part)

    def put_part(self, key: str, parts: dict[str, Any], number: int, file: Any) -> None:
        try:
            with _given_up():
                self._client.upload_part(
                    **self._upload(key, parts), PartNumber=number, Body=file
                )
        except TokenExpired as error:  # S3 says the same of what was completed
            if self.measure(key) is None:
                raise
            raise UploadUsed("This file has been received already.") from error

    def sign_parts(
        self, key: str, parts: dict[str, Any], *, size: int, seconds: float
    ) -> dict[str, Any]:
        upload, part = self._upload(key, parts), parts["size"]
        lengths = {
            number: min(part, size - (number - 1) * part)
            for number in range(1, -(-size // part) + 1)
        }
        there = self._lengths(upload)
        urls = [
            None
            if there.get(number) == length
            else self._part_url(
                {**upload, "PartNumber": number, "ContentLength": length}, seconds
            )
            for number, length in lengths.items()
        ]
        return {"size": part, "urls": urls}

    def complete_parts(self, key: str, parts: dict[str, Any], size: int) -> None:
        if self.measure(key) is not None:  # it was completed before
            return
        try:
            with _given_up():
                self._complete(self._upload(key, parts), size)
        except TokenExpired:
            if self.measure(key) is None:  # else by another, in this moment
                raise

    def put(self, key: str, file: Any) -> None:
        # Not by save(): the bucket's files may be public, and this one is not yet.
        self._client.put_object(
            **self._place(key),
            Body=file,
            ContentType="application/octet-stream",
            ContentDisposition=ATTACHMENT,
        )

    def measure(self, key: str) -> int | None:
        try:
            found = self._client.head_object(**self._place(key))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        return int(found["ContentLength"])

    def beginning(self, key: str, length: int) -> bytes:
        wanted = f"bytes=0-{length - 1}"
        try:
            found = self._client.get_object(**self._place(key), Range=wanted)
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidRange":  # it is empty
                return b""
            raise
        data: bytes = found["Body"].read(length)
        return data

    def delete(self, name: str) -> None:
        """Delete an object, and what is there of one that was being sent in parts.

        Such parts are left by browsers, and by workers that died while they stored a
        large file; nobody sees them, and they are paid for.
        """
        for id in self._unfinished(self._name(name)):
            try:
                self._client.abort_multipart_upload(**self._place(name), UploadId=id)
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchUpload":  # ended meanwhile
                    raise
        super().delete(name)

    def generate_download_url(self, key: str, field_id: str, **params: Any) -> str:
        """Return an address that anybody can download an object from, for a time.

        `expire` is in seconds; default URL_AGE of FIELDS. `parameters` are those of
        boto3's get_object(); by default all but pictures are files to save.
        """
        asked = dict(params.get("parameters") or {})
        if self.querystring_auth and not self.custom_domain:
            asked = {**_to_save(key), **asked}
        age = params.get("expire") or conf.current().url_age
        return self.url(key, parameters=asked, expire=int(age))

    def _begin_parts(self, key: str, content_type: str, part: int) -> dict[str, Any]:
        begun = self._client.create_multipart_upload(
            **self._place(key),
            ContentType=content_type,
            ContentDisposition=ATTACHMENT,
        )
        return {"id": begun["UploadId"], "size": part}

    def _complete(self, upload: dict[str, str], size: int) -> None:
        try:
            there = list(self._parts(upload))
            came = sum(part["Size"] for part in there)
            if came != size:
                raise UploadIncomplete(f"Of {size:,} bytes, {came:,} have come by now.")
            named = [{name: part[name] for name in _NAMED} for part in there]
            self._client.complete_multipart_upload(
                **upload, MultipartUpload={"Parts": named}
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOT_ALL:
                raise
            raise UploadIncomplete(
                "Not all parts came. Send the file again."
            ) from error

    def _part_url(self, part: dict[str, Any], seconds: float) -> str:
        age = min(int(seconds), LONGEST)
        url = self._client.generate_presigned_url("upload_part", part, age)
        return str(url)

    def _lengths(self, upload: dict[str, str]) -> dict[int, int]:
        """Return the bytes of the parts that have arrived, by number."""
        with _given_up():
            return {part["PartNumber"]: part["Size"] for part in self._parts(upload)}

    def _parts(self, upload: dict[str, str]) -> Iterator[dict[str, Any]]:
        """Yield the parts that have arrived, in order."""
        for page in self._client.get_paginator("list_parts").paginate(**upload):
            yield from page.get("Parts", ())

    def _unfinished(self, name: str) -> Iterator[str]:
        """Yield the ids of uploads in parts to just this key."""
        pages = self._client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self.bucket_name, Prefix=name):
            for upload in page.get("Uploads", ()):
                if upload["Key"] == name:
                    yield upload["UploadId"]

    @property
    def _client(self) -> Any:
        return self.connection.meta.client

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": str(self.bucket_name), "Key": self._name(key)}

    def _upload(self, key: str, parts: dict[str, Any]) -> dict[str, str]:
        return {**self._place(key), "UploadId": parts["id"]}

    def _name(self, key: str) -> str:
        return str(self._normalize_name(key))


@contextmanager
def _given_up() -> Iterator[None]:
    """Raise TokenExpired for an upload in parts that S3 does not have any more."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchUpload":
            raise
        raise TokenExpired("This upload is no longer there. Begin it again.") from error


def _to_save(key: str) -> dict[str, str]:
    """Return how a browser is told to save a file, unless it is a picture."""
    if picture_type(key):
        return {}
    header = content_disposition_header(True, key.rpartition("/")[2])
    return {"ResponseContentDisposition": str(header)}
