"""The upload that a job works on, on the admin's page of the job."""

from typing import Any
from uuid import UUID

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.utils.translation import gettext as _

from dbqueue.admin import site as pages
from dbqueue.admin.show.panels import Panel
from dbqueue.uploads.models import Upload, UploadState
from dbqueue.uploads.work import PROCESS

WHOLE = (UploadState.STORED, UploadState.FAILED)  # all bytes are there


def panel(request: HttpRequest, site: AdminSite, job: Any) -> Panel | None:
    """Return the upload, with a small picture as long as its bytes are there."""
    if job.task != PROCESS or not request.user.has_perm(pages.PAYLOAD):
        return None
    shown = site._registry.get(Upload)
    if shown is None or not shown.has_view_permission(request):
        return None
    id = _upload_of(job)
    rows = Upload.objects.using(job._state.db)
    upload = None if id is None else rows.filter(pk=id).first()
    if upload is None:
        return None
    seen = {"upload": upload, "url": pages.link(site, "dbqueue_upload_change", id)}
    if upload.is_image and upload.state in WHOLE:
        seen["preview"] = pages.link(site, "dbqueue_upload_preview", id)
    return Panel(_("Upload"), "admin/dbqueue/upload/on_job.html", seen)


def _upload_of(job: Any) -> UUID | None:
    try:
        return UUID(str(job.args[0]))
    except (ValueError, TypeError, LookupError):
        return None
