"""The limit of a job on its page: where to see who holds it, and who waits."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.utils.translation import gettext as _

from dbqueue.admin import site as pages
from dbqueue.admin.show.panels import Panel, panels


def panel(request: HttpRequest, site: AdminSite, job: Any) -> Panel | None:
    """Return the way to the job's lane, for whoever may see limits."""
    if job.lane is None or not request.user.has_perm("dbqueue.view_limitrule"):
        return None
    name, _colon, value = str(job.lane).partition(":")
    url = pages.link(site, "dbqueue_limit", name)
    if value:
        url = f"{url}?{urlencode({'lane': value})}"
    seen = {"lane": job.lane, "url": url}
    return Panel(_("Limit"), "admin/dbqueue/job_limit.html", seen)


panels.append(panel)
