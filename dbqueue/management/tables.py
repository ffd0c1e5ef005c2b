"""Tables and moments as commands print them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone


def table(titles: tuple[str, ...], rows: Sequence[Any], empty: str) -> list[str]:
    """Return the lines of a table; without rows, what stands in its place."""
    if not rows:
        return [empty]
    cells = [titles, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def moment(value: datetime | None) -> str:
    """Return a moment in the project's time zone, to the second."""
    if value is None:
        return ""
    local = timezone.localtime(value) if timezone.is_aware(value) else value
    return f"{local:%Y-%m-%d %H:%M:%S}"
