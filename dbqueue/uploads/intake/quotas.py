"""How much may wait: of one owner, and altogether."""

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
    settings = conf.current()
    waiting = Upload.objects.using(database).open()
    if received is not None:
        waiting = waiting.exclude(pk=received)
    limit = settings.bytes
    if limit is not None:
        total = waiting.aggregate(bytes=Sum("size"))["bytes"] or 0
        _demand(total + size <= limit, "BYTES", f"{total:,} bytes", limit)
    if owner_id:
        _check_owner(waiting.filter(owner_id=owner_id), size, settings)


def owner_id_of(owner: Any) -> str:
    """Return the id of a user, or a text as it is; "" for nobody and for anonymous."""
    if owner is None or isinstance(owner, str):
        return owner or ""
    pk = getattr(owner, "pk", owner)
    return "" if pk is None else str(pk)


def _check_owner(waiting: Any, size: int, settings: conf.UploadSettings) -> None:
    found = waiting.aggregate(count=Count("pk"), bytes=Sum("size"))
    count, total = found["count"], found["bytes"] or 0
    limit = settings.count_per_owner
    if limit is not None:
        _demand(count < limit, "COUNT_PER_OWNER", f"{count} uploads", limit)
    limit = settings.bytes_per_owner
    if limit is not None:
        fits = total + size <= limit
        _demand(fits, "BYTES_PER_OWNER", f"{total:,} bytes", limit)


def _demand(holds: bool, setting: str, waiting: str, limit: int) -> None:
    if not holds:
        raise UploadQuotaExceeded(
            f"{waiting} are pending already, and "
            f"{conf.UploadSettings.PLACE}[{setting!r}] is {limit:,}. "
            "Try again once they have been processed."
        )
