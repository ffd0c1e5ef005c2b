"""The lists of jobs and their pages, fast at millions of rows."""

from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dbqueue.admin import choices
from dbqueue.admin import site as pages
from dbqueue.admin.acts import again, audit
from dbqueue.admin.acts.menu import Menu
from dbqueue.admin.base import ReadOnlyAdmin
from dbqueue.admin.listing import rows
from dbqueue.admin.listing.listing import Listing
from dbqueue.admin.listing.search import SEARCH, Wanted, as_uuid
from dbqueue.admin.show import panels
from dbqueue.admin.show.detail import Detail
from dbqueue.models import FinishedJob, Job, JobState


class JobRecordAdmin(ReadOnlyAdmin):
    states: tuple[JobState, ...] = ()
    other: type[Model]  # where a job is that has left this table
    when: Any = ""  # the title of the column of moments
    place: ClassVar[str]

    def __init__(self, model: Any, admin_site: AdminSite) -> None:
        super().__init__(model, admin_site)
        pages.adopt(admin_site)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.using(pages.chosen(request))
        return rows

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        menu = Menu(self, request)
        wanted = Wanted.of(request.GET)
        if wanted.arguments and not request.user.has_perm(pages.PAYLOAD):
            raise PermissionDenied  # whoever may ask for values may guess them
        if request.method == "POST":
            return menu.answer()
        listing = Listing(rows.lean(self.get_queryset(request)), request.GET)
        for problem in wanted.problems:
            messages.warning(request, problem)
        alias = pages.chosen(request)
        context = {
            **pages.frame(
                request,
                self.admin_site,
                title=self.opts.verbose_name_plural,
                active=str(self.opts.model_name),
            ),
            "cl": listing,
            "opts": self.opts,
            "rows": rows.made(
                self.admin_site,
                listing.result_list,
                alias,
                payload=request.user.has_perm(pages.PAYLOAD),
            ),
            "chips": self._chips(listing),
            "menu": menu,
            "when": self.when,
            "ages": choices.ages(listing),
            "queues": choices.queues(alias),
            "tasks": choices.tasks(alias),
            "search_var": SEARCH,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/dbqueue/jobs.html", context)

    def _chips(self, listing: Listing) -> list[tuple[Any, str, bool]]:
        wanted = listing.wanted.state
        every = (_("All"), listing.url(state=None), not wanted)
        states = (
            (state.label, listing.url(state=state.value), wanted == state)
            for state in self.states
        )
        return [every, *states]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        self.demand_reader(request)
        id = as_uuid(object_id)
        job = None if id is None else self._found(request, id)
        if job is None:
            return self._elsewhere(request, id)
        payload = request.user.has_perm(pages.PAYLOAD)
        detail = Detail(self.admin_site, job, payload=payload)
        context = {
            **pages.frame(
                request, self.admin_site, title=detail.title, active=self.place
            ),
            "job": job,
            "opts": self.opts,
            "detail": detail,
            "menu": Menu(self, request, job),
            "history": audit.entries_of(job.pk, Job, FinishedJob),
            "panels": panels.of(request, self.admin_site, job),
            "again_url": self._again_url(request, job),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/dbqueue/job.html", context)

    def _again_url(self, request: HttpRequest, job: Any) -> str:
        may = all(map(request.user.has_perm, again.PERMISSIONS))
        name = "dbqueue_finishedjob_again"
        is_over = self.model is FinishedJob
        return pages.link(self.admin_site, name, job.pk) if may and is_over else ""

    def _found(self, request: HttpRequest, id: UUID) -> Any:
        return rows.lean(self.get_queryset(request)).filter(pk=id).first()

    def _elsewhere(self, request: HttpRequest, id: UUID | None) -> HttpResponse:
        """Go where the job is by now: it has ended, or was retried."""
        alias = pages.chosen(request)
        there = self.other._default_manager.using(alias).filter(pk=id)
        if id is not None and there.exists():
            name = f"dbqueue_{self.other._meta.model_name}_change"
            return redirect(pages.link(self.admin_site, name, id))
        raise Http404(_("There is no such job. It may have been pruned."))


@admin.register(Job)
class JobAdmin(JobRecordAdmin):
    states = (
        JobState.READY,
        JobState.RUNNING,
        JobState.SCHEDULED,
        JobState.BLOCKED,
        JobState.PAUSED,
    )
    other = FinishedJob
    when = gettext_lazy("When")
    place = "job"


@admin.register(FinishedJob)
class FinishedJobAdmin(JobRecordAdmin):
    states = (JobState.FAILED, JobState.SUCCESSFUL, JobState.CANCELLED)
    other = Job
    when = gettext_lazy("Finished")
    place = "finishedjob"

    def get_urls(self) -> Any:
        view = pages.calm(self.admin_site.admin_view(partial(again.view, self)))
        ours = path("<uuid:object_id>/again/", view, name="dbqueue_finishedjob_again")
        return [ours, *super().get_urls()]
