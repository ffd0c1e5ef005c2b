"""Names of uploaded files: untrusted text made fit for a storage."""

import os
import unicodedata
from typing import Any

from django.core.exceptions import SuspiciousFileOperation
from django.utils.text import get_valid_filename

LONGEST = 100  # characters
_DEVICES = {"CON", "PRN", "AUX", "NUL"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)
}


def clean(name: Any) -> str:
    """Return a file name without path, control characters or surprises."""
    # The name of an open file may be the number of its descriptor.
    given = str(name) if isinstance(name, str | os.PathLike) else ""
    text = unicodedata.normalize("NFC", given).replace("\\", "/")
    # Cc and Cf: what a terminal obeys, and what turns "gpj.exe" around on a page.
    text = "".join(c for c in text if not unicodedata.category(c).startswith("C"))
    try:
        text = get_valid_filename(os.path.basename(text)).lstrip(".-")
    except SuspiciousFileOperation:
        text = ""
    stem, extension = os.path.splitext(text)
    if not stem.strip("_"):
        stem = "upload"
    if stem.partition(".")[0].upper() in _DEVICES:
        stem = f"_{stem}"
    extension = extension[:20]
    return stem[: LONGEST - len(extension)] + extension


def clean_type(content_type: Any) -> str:
    """Return a declared content type as a column can hold it."""
    return "".join(filter(str.isprintable, str(content_type or "")))[:255]
