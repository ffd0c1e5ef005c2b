"""System checks of upload fields: silent in a project without them."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.urls import get_resolver

from dbqueue.backend import our_backends
from dbqueue.fields import links, places, registry

MIDDLEWARE = "dbqueue.fields.middleware.UploadFieldsMiddleware"


# Not "dbqueue": workers check that when they start, and have no use for the URLs.
@checks.register("dbqueue_fields")
def check_fields(**kwargs: Any) -> list[checks.CheckMessage]:
    """E025 to E028 and W022, where a model has an upload field."""
    field = next(registry.fields(), None)
    if field is None:
        return []
    found = [*_check_backend(field), *_check_middleware(field), *_check_urls(field)]
    return [*found, *chain.from_iterable(map(_check_storage, registry.fields()))]


def _check_backend(field: Any) -> Iterator[checks.CheckMessage]:
    if not our_backends():
        yield checks.Error(
            f"{field} hands its files to dbqueue, and no entry of TASKS is one.",
            hint='TASKS = {"default": {"BACKEND": "dbqueue.backend.DatabaseBackend"}}',
            id="dbqueue.E025",
        )


def _check_middleware(field: Any) -> Iterator[checks.CheckMessage]:
    if MIDDLEWARE not in settings.MIDDLEWARE:
        yield checks.Error(
            f"{field} cannot tell whose uploads it gets: MIDDLEWARE lacks the class "
            "that says it.",
            hint=f"Add {MIDDLEWARE!r}, behind those of sessions and authentication.",
            id="dbqueue.E026",
        )


def _check_urls(field: Any) -> Iterator[checks.CheckMessage]:
    if not getattr(settings, "ROOT_URLCONF", None):
        return
    get_resolver().url_patterns  # noqa: B018  read to be imported
    try:
        links.address("issue")
    except ImproperlyConfigured as error:
        yield checks.Error(f"{field}: {error}", id="dbqueue.E027")


def _check_storage(field: Any) -> Iterator[checks.CheckMessage]:
    storage = places.storage_of(field)
    if storage is None:
        return
    name = type(storage).__name__
    if problem := storage.problem():
        yield checks.Error(
            f"The {name} of {field} can sign no address to send files to: {problem}.",
            hint="Give it as an option of the storage, or by its setting.",
            id="dbqueue.E028",
        )
    if storage.is_public and field.perm_detail is not None:
        yield checks.Warning(
            f"perm_detail of {field} decides who may see its files, and the options of "
            f"its {name} let everybody see them.",
            hint="Have the storage sign its addresses, or set perm_detail=None.",
            id="dbqueue.W022",
        )
