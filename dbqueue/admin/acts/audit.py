"""The admin's log: who did what, to which job or to how many, and what came of it."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.http import HttpRequest

# Jobs of one act that get an entry each; of more, one entry says how many.
MOST_ENTRIES = 100


def log(
    user_id: Any,
    model: type[Model],
    message: str,
    *,
    ids: Sequence[Any] = (),
    what: str = "",
    deletes: bool = False,
) -> None:
    """Write who did what. `what` names it where it is not one row, or are too many."""
    each = [(str(id), f"{model._meta.verbose_name} {id}") for id in ids]
    if not each or len(each) > MOST_ENTRIES:
        each = [("", what or f"{len(ids)} {model._meta.verbose_name_plural}")]
    kind = ContentType.objects.get_for_model(model, for_concrete_model=False)
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=user_id,
            content_type=kind,
            object_id=object_id or None,
            object_repr=name[:200],
            action_flag=DELETION if deletes else CHANGE,
            change_message=message,
        )
        for object_id, name in each
    )


def user_name(request: HttpRequest) -> str:
    """Return what the user is called in records."""
    return str(request.user.get_username())[:255]


def name_of(user_id: Any) -> str:
    """Return that name by the user's id; "" if there is no such user any more."""
    user = get_user_model()._default_manager.filter(pk=user_id).first()
    return "" if user is None else str(user.get_username())[:255]


def entries_of(id: Any, *models: type[Model]) -> list[LogEntry]:
    """Return what operators have done to a row of the models, the latest first."""
    kinds = ContentType.objects.get_for_models(*models, for_concrete_models=False)
    found = LogEntry.objects.filter(object_id=str(id), content_type__in=kinds.values())
    return list(found.select_related("user").order_by("-action_time")[:20])
