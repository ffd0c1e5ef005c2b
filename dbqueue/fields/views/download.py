"""The stored file of a field, for whom may see it."""

from typing import Any

from django.core.exceptions import ValidationError
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponseRedirect,
)
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from dbqueue.fields import permissions, places, tokens
from dbqueue.fields.registry import field_of
from dbqueue.fields.storages.base import picture_type
from dbqueue.fields.views import answers
from dbqueue.uploads.display.exposure import SAFE


@answers.answered
@require_safe
def download(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
    """Lead to the file of ?fieldId=…&instanceId=…, if `perm_detail` lets it be seen."""
    asked = request.GET
    field_id = asked.get("fieldId") or asked.get("field_id")
    if not field_id:
        return answers.json({"fieldId": ["This field is required."]}, 400)
    field = field_of(field_id)
    if field is None:
        return answers.json({"fieldId": ["Unknown fieldId"]}, 400)
    instance = _instance(field, asked.get("instanceId") or asked.get("instance_id"))
    permissions.demand(field, "detail", request, instance)
    file = getattr(instance, field.attname)
    if not file:
        raise Http404(f"There is no file in {field.name}.")
    storage = places.storage_of(field)
    if storage is None:
        return HttpResponseRedirect(field.storage.url(file.name))
    params = field.download_params
    return HttpResponseRedirect(
        storage.generate_download_url(file.name, field_id, **params)
    )


@answers.answered
@require_safe
def file(request: HttpRequest, token: str) -> HttpResponseBase:
    """Send an object of a storage, to whom the token was given."""
    name, field_id = tokens.read_name(token)
    field = field_of(field_id)
    if field is None or not field.storage.exists(name):
        raise Http404("There is no such file.")
    picture = picture_type(name)
    response = FileResponse(
        field.storage.open(name),
        as_attachment=picture is None,
        filename=name.rpartition("/")[2],
        content_type=picture or "application/octet-stream",
    )
    for header, value in SAFE.items():
        response[header] = value
    return response


def _instance(field: Any, pk: str | None) -> Any:
    try:
        found = field.model._base_manager.filter(pk=pk).first() if pk else None
    except (ValueError, TypeError, OverflowError, ValidationError):
        found = None
    if found is None:
        raise Http404("There is no such object.")
    return found
