"""{% pending_image %} that shows the picture by itself, once it is saved."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.core import signing
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from dbqueue.progress import conf, element, links
from dbqueue.progress.seeing import tokens
from dbqueue.uploads import work
from dbqueue.uploads.display.shown import shown

TEMPLATE = "dbqueue/uploads/pending_image.html"
_SALT = "dbqueue.progress.picture"


def shown_live(instance: models.Model, field_name: str, **how: Any) -> dict[str, Any]:
    """Return what the template of {% pending_image %} needs; `how` are its options.

    A picture that is waiting gets the addresses by which it is replaced, where the URLs
    have those of progress.
    """
    context = shown(instance, field_name, **how)
    if context["waits"] and context["upload"].job_id:
        context |= _addresses(instance, field_name, context["upload"], how)
    return context


def shown_again(token: str) -> dict[str, Any] | None:
    """Return the same for the address of a picture; None if there is none."""
    try:
        age = timedelta(seconds=conf.current().token_age)
        label, database, pk, field_name, how = signing.loads(
            token, salt=_SALT, max_age=age
        )
        model = apps.get_model(label)
    except (signing.BadSignature, LookupError):
        return None
    instance = model._base_manager.using(database).filter(pk=pk).first()
    if instance is None:
        return None
    return shown_live(instance, field_name, **how)


def _addresses(
    instance: models.Model, field_name: str, upload: Any, how: dict[str, Any]
) -> dict[str, Any]:
    alias, _ = work.backend()
    ticket = tokens.Ticket(UUID(str(upload.job_id)), alias, ("status",))
    parts = [
        instance._meta.label_lower,
        instance._state.db,
        str(instance.pk),
        field_name,
        {name: _plain(value) for name, value in how.items()},
    ]
    try:
        return {
            "status_url": links.address("status", tokens.sign(ticket)),
            "picture_url": links.address(
                "picture", signing.dumps(parts, salt=_SALT, compress=True)
            ),
            "script": element.SCRIPT,
        }
    except ImproperlyConfigured:  # the URLs do without
        return {}


def _plain(value: Any) -> Any:
    """Return an option of the tag as JSON has it; a lazy text may be among them."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value if value is None or isinstance(value, bool) else str(value)
