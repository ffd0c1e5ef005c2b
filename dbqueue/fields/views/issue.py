"""POST generate-upload-url/: where, and how, a browser sends the bytes of a file."""

import json
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.datastructures import MultiValueDict
from django.views.decorators.csrf import csrf_protect

from dbqueue.fields import conf, issuing, links, places, receiving, restrictions
from dbqueue.fields.forms.values import key_of
from dbqueue.fields.models import FieldUpload
from dbqueue.fields.registry import field_of
from dbqueue.fields.views import answers
from dbqueue.uploads.exceptions import ContentRejected, UploadError, UploadTooLarge

Source = MultiValueDict[str, str] | Mapping[str, Any]
REQUIRED = "This field is required."
# How JavaScript and Python spell what may be asked.
_NAMES = {
    "fieldId": "field_id",
    "contentType": "content_type",
    "instanceId": "instance_id",
}
_WORDS = {python: script for script, python in _NAMES.items()}


class WrongRequest(UploadError):
    """What was asked for is wrong; `errors` has a sentence for each name."""

    def __init__(
        self, text: str, *, errors: Mapping[str, str] | None = None, status: int = 400
    ) -> None:
        super().__init__(text)
        self.errors = errors or {}
        self.status = status

    @classmethod
    def of(cls, errors: Mapping[str, str], *, status: int = 400) -> "WrongRequest":
        return cls(" ".join(errors.values()), errors=errors, status=status)


@answers.answered
@csrf_protect
def issue(request: HttpRequest) -> HttpResponseBase:
    """Begin an upload; see the guide for what is asked and answered."""
    methods = ["POST", "GET"] if conf.current().issue_by_get else ["POST"]
    if request.method not in methods:
        return HttpResponseNotAllowed(methods)
    return answer(request)


def answer(
    request: HttpRequest, given: Mapping[str, Any] | None = None
) -> JsonResponse:
    """Begin what is asked for; `given` is what was posted, where that was read."""
    posted = _posted(request) if given is None else given
    try:
        row = begin(request, _asked(request.GET, posted))
    except WrongRequest as error:
        return _wrong(error.errors, error.status)
    with receiving.begun(row):
        return answers.json(told(row, field_of(row.field_id)))


def begin(
    request: HttpRequest, asked: Mapping[str, Any], via: str = "direct"
) -> FieldUpload:
    """Begin what is asked for, by Python's names.

    Raises WrongRequest, and as issuing.issue() does.
    """
    field = field_of(str(asked.get("field_id", "")))
    if errors := _errors_of(asked, field):
        raise WrongRequest.of(errors)
    try:
        return issuing.issue(
            request,
            field,
            str(asked["filename"]),
            content_type=str(asked.get("content_type") or ""),
            size=int(asked["size"]) if asked.get("size") else None,
            instance=_instance(field, asked.get("instance_id")),
            via=via,
        )
    except ContentRejected as error:
        raise WrongRequest.of({"filename": error.message}) from error
    except UploadTooLarge as error:
        raise WrongRequest.of({"size": str(error)}, status=413) from error


def told(row: FieldUpload, field: Any) -> dict[str, Any]:
    """Return what is answered for an upload that was begun."""
    upload = row.upload
    addresses = links.addresses_of(row, is_image=field.is_image)
    by_browser = not places.comes_here(field)
    goes_on = row.is_size_known and not by_browser
    return {
        "uploadUrl": _upload_url(row, field),
        "key": key_of(row),
        "id": str(upload.pk),
        "name": upload.filename,
        "maxSize": restrictions.limit_of(field, upload.held_as is None),
        "expires": upload.expires_at.isoformat() if upload.expires_at else None,
        "completeUrl": links.signed("complete", row) if by_browser else None,
        "tusUrl": links.signed("tus", row) if goes_on else None,
        **addresses,
    }


def _upload_url(row: FieldUpload, field: Any) -> dict[str, Any]:
    storage, upload = places.storage_of(field), row.upload
    if storage is None or storage.receives_here:
        return {
            "url": links.signed("upload", row, storage.upload_age if storage else None),
            "fields": {},
            "method": "POST",
            "provider": storage.provider if storage else "database",
            "headers": {},
            "fileFieldName": "file",
        }
    if parts := _begin_parts(row, storage):
        return {"provider": storage.provider, "url": "", "fields": {}, **parts}
    signed = storage.sign_upload(
        str(upload.held_as),
        content_type=restrictions.type_of(upload.filename, upload.content_type),
        max_size=field.upload_policy.max_size,
        size=upload.size if row.is_size_known else None,
        seconds=conf.current().url_age,
        field_id=row.field_id,
    )
    return {"provider": storage.provider, **signed}


def _begin_parts(row: FieldUpload, storage: Any) -> dict[str, Any] | None:
    """Have a large file go in parts, where the storage has it so."""
    if not row.is_size_known:
        return None
    upload = row.upload
    begun = storage.begin_parts(
        str(upload.held_as),
        content_type=restrictions.type_of(upload.filename, upload.content_type),
        size=upload.size,
    )
    if begun is None:
        return None
    row.parts = begun
    row.save(update_fields=["parts"])
    parts = places.parts_of(row, storage)
    return {"method": "PUT", "headers": {}, "fileFieldName": None, "parts": parts}


def _posted(request: HttpRequest) -> Source:
    is_json = request.content_type == "application/json"
    return _object(request.body) if is_json else request.POST


def _asked(*sources: Source) -> dict[str, Any]:
    """Return what was asked, by Python's names."""
    return {_NAMES.get(name, name): one[name] for one in sources for name in one}


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _errors_of(asked: Mapping[str, Any], field: Any) -> dict[str, str]:
    errors = {}
    if not asked.get("field_id"):
        errors["field_id"] = REQUIRED
    elif field is None:
        errors["field_id"] = "Unknown fieldId"
    if not asked.get("filename"):
        errors["filename"] = REQUIRED
    size = asked.get("size") or 1
    if not str(size).isdecimal() or not 0 < int(size) < 2**63:
        errors["size"] = "This is no number of bytes."
    params = asked.get("params")
    if isinstance(params, str) and params and not _is_json(params):
        errors["params"] = "Invalid JSON"
    if field and _instance(field, asked.get("instance_id")) is _MISSING:
        errors["instance_id"] = "There is no such object."
    return errors


_MISSING: Any = object()


def _instance(field: Any, pk: Any) -> models.Model | None:
    """Return the object whose file is to be replaced; None where none is named."""
    if pk in (None, ""):
        return None
    try:
        found = field.model._base_manager.filter(pk=pk).first()
    except (ValueError, TypeError, OverflowError, ValidationError):
        return _MISSING  # type: ignore[no-any-return]  # is no key of the model
    return _MISSING if found is None else found  # type: ignore[no-any-return]  # as above


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _wrong(errors: Mapping[str, str], status: int = 400) -> JsonResponse:
    named = {_WORDS.get(name, name): [text] for name, text in errors.items()}
    return answers.json(named, status)
