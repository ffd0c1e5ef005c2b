"""The log lines of a job on its page."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.utils.translation import gettext as _

from dbqueue.admin import site as pages
from dbqueue.admin.show.panels import Panel, panels
from dbqueue.logs import capture, store

MOST_SHOWN = 500  # lines, the latest


def panel(request: HttpRequest, site: AdminSite, job: Any) -> Panel | None:
    """Return what the job has logged, for whoever may see what jobs carry."""
    if not request.user.has_perm(pages.PAYLOAD):
        return None
    lines = store.of(str(job._state.db), job.pk)
    if not lines and job.task not in capture.levels:
        return None
    seen = {"lines": lines[-MOST_SHOWN:], "left_out": max(0, len(lines) - MOST_SHOWN)}
    return Panel(_("Log lines"), "admin/dbqueue/log_lines.html", seen, is_wide=True)


panels.append(panel)
