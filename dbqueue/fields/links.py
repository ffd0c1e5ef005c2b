"""The addresses of upload fields, and what an upload's JSON has of them."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse

from dbqueue.fields import tokens
from dbqueue.fields.models import FieldUpload

NAMESPACE = "dbqueue_fields"


def address(name: str, *args: str) -> str:
    """Return the path of a view. Raises ImproperlyConfigured if it is in no URLs."""
    try:
        return reverse(f"{NAMESPACE}:{name}", args=args)
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            "Upload fields have no address to send files to. Add to the URLs: "
            'path("uploads/", include("dbqueue.fields.urls"))'
        ) from error


def signed(name: str, row: FieldUpload, seconds: float | None = None) -> str:
    """Return the path of a view for one upload, with a token for just that."""
    return address(name, tokens.sign(name, row, seconds))


def addresses_of(row: FieldUpload, *, is_image: bool) -> dict[str, Any]:
    """Return the addresses at which the owner sees and cancels an upload."""
    return {
        "statusUrl": signed("status", row),
        "cancelUrl": signed("cancel", row),
        "previewUrl": signed("preview", row) if is_image else None,
    }
