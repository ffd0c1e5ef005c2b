"""Who may upload to a field, and see its file."""

from collections.abc import Callable
from typing import Any, Literal

from django.contrib.auth import get_backends
from django.contrib.auth.backends import ModelBackend
from django.db import models
from django.http import HttpRequest

from dbqueue.fields.exceptions import NotPermitted

Action = Literal["create", "update", "detail"]
# A name, or a function of (request, instance or None); None = everybody may.
Permission = str | Callable[[HttpRequest, models.Model | None], bool] | None

_DJANGOS = {"create": "add", "update": "change", "detail": "view"}
_REFUSALS = {
    "create": "You may not upload a file here.",
    "update": "You may not replace this file.",
    "detail": "You may not see this file.",
}


def default_permission(model: type[models.Model], action: Action) -> str:
    """Return the name of Django's own permission for an action."""
    meta = model._meta
    return f"{meta.app_label}.{_DJANGOS[action]}_{meta.model_name}"


def demand(
    field: Any, action: Action, request: HttpRequest, instance: models.Model | None
) -> None:
    """Raise NotPermitted if the user may not do something with a field."""
    if not may(field, action, request, instance):
        raise NotPermitted(_REFUSALS[action])


def may(
    field: Any, action: Action, request: HttpRequest, instance: models.Model | None
) -> bool:
    """Tell whether the user of a request may do something with a field."""
    wanted: Permission = getattr(field, f"perm_{action}")
    if wanted is None:
        return True
    if callable(wanted):
        return bool(wanted(request, instance))
    user: Any = getattr(request, "user", None)
    if user is None:
        return False
    if user.has_perm(wanted, instance):
        return True
    # Django's own backend never grants anything for an object.
    return instance is not None and not _know_objects() and user.has_perm(wanted)


def _know_objects() -> bool:
    return any(
        not isinstance(backend, ModelBackend)
        or type(backend).has_perm is not ModelBackend.has_perm
        or type(backend)._get_permissions is not ModelBackend._get_permissions  # type: ignore[attr-defined]  # private
        for backend in get_backends()
    )
