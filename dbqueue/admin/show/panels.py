"""What wings add to the page of a job: each a title, and a template that shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the page; its template is given the panel as `panel`."""

    title: Any
    template: str
    seen: Any
    is_wide: bool = False  # below the timeline, and not beside it


# Each returns its part for a job, or None: it has none, or the user may not see it.
panels: list[Callable[[HttpRequest, AdminSite, Any], Panel | None]] = []


def of(request: HttpRequest, site: AdminSite, job: Any) -> list[Panel]:
    """Return the parts of a job's page that the user may see."""
    found = (panel(request, site, job) for panel in panels)
    return [panel for panel in found if panel is not None]
