"""How much may be pending: of one owner, and in all."""

from typing import Any
from uuid import UUID

from django.db.models import Count, Sum

from dbqueue.uploads import conf
from dbqueue.uploads.exceptions import UploadQuotaExceeded
from dbqueue.uploads.models import Upload


def check(
    database: str, owner_id: str, size: int, *, received: UUID | None = None
) -> None:
    """Raise UploadQuotaExceeded if `size` more bytes would be too much.

    `received` is the upload that has them already. Counted without a lock: requests at
    the same moment may each see room for one.
    """
    pending = Upload.objects.using(database).open()
    if received is not None:
        pending = pending.exclude(pk=received)
    settings = conf.current()
    pending = pending.filter(held_as=None)  # the database has no others
    if settings.bytes is not None:
        total = pending.aggregate(bytes=Sum("size"))["bytes"] or 0
        _demand("BYTES", settings.bytes, total, size, "bytes")
    if owner_id:
        owned = pending.filter(owner_id=owner_id)
        found = owned.aggregate(count=Count("pk"), bytes=Sum("size"))
        count, total = found["count"], found["bytes"] or 0
        _demand("COUNT_PER_OWNER", settings.count_per_owner, count, 1, "uploads")
        _demand("BYTES_PER_OWNER", settings.bytes_per_owner, total, size, "bytes")


def owner_id_of(owner: Any) -> str:
    """Return the id of a user, or a text as it is; "" for None and anonymous."""
    if owner is None or isinstance(owner, str):
        return owner or ""
    pk = getattr(owner, "pk", owner)
    return "" if pk is None else str(pk)


def _demand(
    setting: str, limit: int | None, pending: int, more: int, unit: str
) -> None:
    if limit is not None and pending + more > limit:
        raise UploadQuotaExceeded(
            f"Already pending {unit}: {pending:,}; "
            f"{conf.UploadSettings.PLACE}[{setting!r}] is {limit:,}. "
            "Try again once they have been processed."
        )
