"""The acts that a page offers its user, and the answer to the one that was chosen."""

from functools import cached_property
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from dbqueue import status
from dbqueue.admin import choices
from dbqueue.admin import site as pages
from dbqueue.admin.acts import acts
from dbqueue.admin.acts.acts import BY_MOVE, Act
from dbqueue.admin.listing.listing import Listing
from dbqueue.admin.listing.search import Wanted, as_uuid
from dbqueue.exceptions import DbqueueError
from dbqueue.models import FinishedJob
from dbqueue.tasks.framework import InvalidTask
from dbqueue.tasks.options import OPERATIONS
from dbqueue.tasks.registry import resolve

ACTION, SELECTED, ACROSS, CONFIRMED = (
    "action",
    "_selected_action",
    "select_across",
    "_confirmed",
)
# By path: it is declared where there is a backend to declare it for.
BULK = "dbqueue.admin.acts.bulk.move_all"
INLINE = 500  # jobs that match, up to which no job is made of it


class Menu:
    """Of a list, or of the page of one `job`."""

    def __init__(self, page: Any, request: HttpRequest, job: Any = None) -> None:
        self._page = page
        self._request = request
        self._job = job
        self._is_history = page.model is FinishedJob

    @cached_property
    def permitted(self) -> list[Act]:
        found = acts.of_table(is_history=self._is_history)
        return [act for act in found if act.is_permitted(self._request)]

    @property
    def actions(self) -> list[tuple[str, Any]]:
        return [(act.move, act.label) for act in self.permitted]

    @property
    def buttons(self) -> list[tuple[str, Any, str]]:
        """The acts that the job's state allows."""
        state = self._job.state
        return [
            (act.move, act.label, act.kind)
            for act in self.permitted
            if state in act.states
        ]

    def answer(self) -> HttpResponseBase:
        """Do what was posted. Raises PermissionDenied for what the user may not do."""
        post = self._request.POST
        act = BY_MOVE.get(post.get(ACTION, ""))
        if act is None:
            if post.get(ACTION):
                raise PermissionDenied
            return self._back(_("Choose what to do."), messages.WARNING)
        if act not in self.permitted:
            raise PermissionDenied
        ids = [id for text in post.getlist(SELECTED) if (id := as_uuid(text))]
        across = post.get(ACROSS, "0") not in ("", "0")
        if not ids and not across:
            return self._back(_("Choose the jobs first."), messages.WARNING)
        if act.asks and CONFIRMED not in post:
            return self._ask(act, ids, across=across)
        try:
            values = act.values(post)
            return self._do(act, ids, values, across=across)
        except (DbqueueError, InvalidTask, ValueError) as error:
            return self._ask(act, ids, across=across, problem=str(error))

    def _do(
        self, act: Act, ids: list[Any], values: dict[str, Any], *, across: bool
    ) -> HttpResponse:
        # Not at the top: it declares a task, which needs a backend.
        from dbqueue.admin.acts import bulk

        user = self._request.user.pk
        if not across:
            moved = bulk.make(act, ids, pages.entry(self._request), values, user)
            bulk.write_log(user, act, moved, None)
            return self._told(act, moved, ids)
        params = Listing.params_of(self._request.GET)
        if problems := Wanted.of(params).problems:
            raise ValueError(problems[0])  # the filter would match more than was meant
        alias, now = pages.chosen(self._request), timezone.now()
        rows = bulk.matching(act, alias, params, now)
        few = rows.order_by().values_list("pk")[: INLINE + 1].count() <= INLINE
        if not few and status.is_served(alias, OPERATIONS):
            call = (
                act.move,
                pages.entry(self._request),
                params,
                values,
                now.isoformat(),
                user,
            )
            job = resolve(BULK).using(backend=pages.entry(self._request)).enqueue(*call)
            messages.info(self._request, _("This job does it, in batches."))
            url = pages.link(self._page.admin_site, "dbqueue_job_change", job.id)
            return HttpResponseRedirect(url)
        moved = bulk.make(act, rows, pages.entry(self._request), values, user)
        bulk.write_log(user, act, moved, params)
        return self._told(act, moved, [])

    def _told(self, act: Act, moved: Any, ids: list[Any]) -> HttpResponse:
        level = messages.SUCCESS if moved and not moved.skipped else messages.WARNING
        text = acts.outcome(act, moved)
        is_gone = act.move == "discard" and moved.done
        if self._request.POST.get("_page") == "job" and len(ids) == 1 and not is_gone:
            messages.add_message(self._request, level, text)
            name = f"dbqueue_{self._page.opts.model_name}_change"
            url = pages.link(self._page.admin_site, name, ids[0])
            return HttpResponseRedirect(url)
        return self._back(text, level)

    def _back(self, text: str, level: int) -> HttpResponse:
        messages.add_message(self._request, level, text)
        return HttpResponseRedirect(self._request.get_full_path())

    def _ask(
        self, act: Act, ids: list[Any], *, across: bool, problem: str = ""
    ) -> HttpResponseBase:
        alias = pages.chosen(self._request)
        listing = None
        if across:
            rows = self._page.get_queryset(self._request)
            listing = Listing(rows.only("pk"), self._request.GET)
        context = {
            **pages.frame(
                self._request,
                self._page.admin_site,
                title=str(act.label).rstrip("…"),
                active=str(self._page.opts.model_name),
            ),
            "opts": self._page.opts,
            "act": act,
            "ids": ids,
            "across": across,
            "listing": listing,
            "problem": problem,
            "value": self._request.POST.get("value", ""),
            "page": self._request.POST.get("_page", ""),
            "queues": choices.queues(alias),
            "back": self._request.get_full_path(),
        }
        return TemplateResponse(self._request, "admin/dbqueue/confirm.html", context)
