"""Uploads in the admin: what is pending or has ended, and what can be done."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.defaultfilters import filesizeformat
from django.urls import NoReverseMatch, path, reverse
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from dbqueue.admin import site as pages
from dbqueue.admin.base import ReadOnlyAdmin, RecordAdmin
from dbqueue.admin.show.panels import panels
from dbqueue.exceptions import DbqueueError
from dbqueue.models import FinishedJob, Job
from dbqueue.uploads import work
from dbqueue.uploads.display import exposure, on_job
from dbqueue.uploads.display.on_job import WHOLE
from dbqueue.uploads.exceptions import UploadPending
from dbqueue.uploads.handle import UploadHandle
from dbqueue.uploads.models import HOLDING_BYTES, Upload, UploadState

_LEFT = ngettext_lazy(
    "%d upload was left: it is in another state, or a newer one is pending.",
    "%d uploads were left: their state is another, or newer ones are pending.",
)


@admin.register(Upload)
class UploadAdmin(RecordAdmin):
    states = tuple(UploadState)
    list_display = (*("file", "state", "model", "object", "bytes", "owner", "age"),)
    search_help_text = _("The whole id of an upload")
    deferred = ("policy", "variants", "options", "pictures")
    actions = ("retry", "discard")
    save_on_top = True
    change_form_template = "admin/dbqueue/upload/change_form.html"
    # For django-unfold, which has no buttons on top.
    change_form_before_template = "admin/dbqueue/upload/buttons.html"
    readonly_fields = ("file", "preview", "object", "job", "bytes", "owner", "age")
    fields: ClassVar[Any] = (
        ("filename", "state"),
        "preview",
        ("model", "object", "field_name"),
        ("error_code", "error_message"),
        "job",
        ("bytes", "content_type", "sha256"),
        ("owner", "database"),
        ("expected_name", "final_name"),
        ("width", "height"),
        "pictures",
        ("policy", "variants", "options"),
        ("created_at", "finished_at", "expires_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).using(work.database())

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may retry, discard and download."""
        return super(ReadOnlyAdmin, self).has_change_permission(request)

    @admin.display(description=_("file"))
    def file(self, upload: Upload) -> str:
        return upload.filename or str(upload.pk)

    @admin.display(description=_("object"), empty_value="")
    def object(self, upload: Upload) -> Any:
        name = upload.model.lower().replace(".", "_")
        try:
            url = reverse(f"admin:{name}_change", args=[upload.object_pk])
        except NoReverseMatch:
            return upload.object_pk or None
        return format_html('<a href="{}">{}</a>', url, upload.object_pk)

    @admin.display(description=_("size"))
    def bytes(self, upload: Upload) -> str:
        return filesizeformat(upload.size)

    @admin.display(description=_("owner"), empty_value="")
    def owner(self, upload: Upload) -> str | None:
        return upload.owner_id or None

    @admin.display(description=_("age"))
    def age(self, upload: Upload) -> str:
        return timesince(upload.created_at, depth=1)

    @admin.display(description=_("job"), empty_value="")
    def job(self, upload: Upload) -> Any:
        if upload.job_id is None:
            return None
        for model, place in ((Job, "job"), (FinishedJob, "finishedjob")):
            rows = model.objects.using(upload.held_in).filter(pk=upload.job_id)
            for state in rows.values_list("state", flat=True):
                url = reverse(f"admin:dbqueue_{place}_change", args=[upload.job_id])
                return format_html('<a href="{}">{}</a> {}', url, upload.job_id, state)
        return None

    @admin.display(description=_("preview"), empty_value="")
    def preview(self, upload: Upload) -> Any:
        if not upload.is_image or upload.state not in WHOLE:
            return None
        url = reverse("admin:dbqueue_upload_preview", args=[upload.pk])
        return format_html('<img src="{}" alt="{}">', url, _("No preview"))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        upload = self.get_object(request, object_id)
        may = upload is not None and self.has_operate_permission(request)
        state = upload.state if upload is not None and may else None
        context = {
            "can_retry": state == UploadState.FAILED,
            "can_download": state in WHOLE,
            "can_discard": state in HOLDING_BYTES,
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    @admin.action(permissions=["operate"], description=_("Retry failed uploads"))
    def retry(self, request: HttpRequest, queryset: QuerySet[Upload]) -> None:
        text = ngettext_lazy(
            "%d upload is being retried.", "%d uploads are being retried."
        )
        self._do_to_all(request, queryset, _retried, "Retried.", text)

    @admin.action(permissions=["operate"], description=_("Discard pending uploads"))
    def discard(self, request: HttpRequest, queryset: QuerySet[Upload]) -> None:
        text = ngettext_lazy("%d upload was discarded.", "%d uploads were discarded.")
        self._do_to_all(request, queryset, _discarded, "Discarded.", text)

    def get_urls(self) -> list[Any]:
        views: dict[str, Callable[..., Any]] = {
            "retry": partial(self._act, self.retry),
            "discard": partial(self._act, self.discard),
            "download": self.download_view,
            "preview": self.preview_view,
        }
        ours = []
        for name, view in views.items():
            guarded = self.admin_site.admin_view(view)
            route = f"<uuid:object_id>/{name}/"
            ours.append(path(route, guarded, name=f"dbqueue_upload_{name}"))
        return [*pages.calm_all(ours), *super().get_urls()]

    def download_view(self, request: HttpRequest, object_id: UUID) -> HttpResponseBase:
        upload = self._found(request, object_id, self.has_operate_permission)
        self.log_change(request, upload, "Downloaded.")
        return exposure.download(request, upload)

    def preview_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        upload = self._found(request, object_id, self.has_view_permission)
        try:
            return exposure.preview(upload)
        except DbqueueError as error:
            raise Http404(str(error)) from error

    def _act(
        self, action: Callable[..., None], request: HttpRequest, object_id: UUID
    ) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_operate_permission(request):
            raise PermissionDenied
        action(request, self.get_queryset(request).filter(pk=object_id))
        return redirect("admin:dbqueue_upload_change", object_id)

    def _found(
        self, request: HttpRequest, pk: UUID, permitted: Callable[..., bool]
    ) -> Upload:
        if not permitted(request):
            raise PermissionDenied
        rows = self.get_queryset(request).filter(state__in=WHOLE)
        upload: Upload = get_object_or_404(rows, pk=pk)
        return upload

    def _do_to_all(
        self,
        request: HttpRequest,
        queryset: QuerySet[Upload],
        act_on: Callable[[Upload], bool],
        log: str,
        text: Any,
    ) -> None:
        """Act on each upload; tell the user how many were done, and how many left."""
        done = left = 0
        for upload in queryset:
            if act_on(upload):
                self.log_change(request, upload, log)
                done += 1
            else:
                left += 1
        if done:
            self.message_user(request, text % done, messages.SUCCESS)
        if left:
            self.message_user(request, _LEFT % left, messages.WARNING)


panels.append(on_job.panel)


def _retried(upload: Upload) -> bool:
    try:
        return UploadHandle(upload).retry()
    except UploadPending:
        return False


def _discarded(upload: Upload) -> bool:
    return UploadHandle(upload).cancel()
