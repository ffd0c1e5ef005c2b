"""Schedules in the admin: when they run, what became of it, and what can be changed."""

from datetime import datetime, tzinfo
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.template.defaultfilters import date
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from dbqueue.admin import site as pages
from dbqueue.admin.base import StrictAdmin
from dbqueue.exceptions import DbqueueError
from dbqueue.schedules import history
from dbqueue.schedules.declared import sync
from dbqueue.schedules.forms import ScheduleForm, fieldsets
from dbqueue.schedules.models import Origin, Schedule
from dbqueue.tasks.framework import InvalidTask, InvalidTaskBackend

_REFUSALS = (DbqueueError, InvalidTask, InvalidTaskBackend)


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [
            ("enabled", _("Enabled")),
            ("disabled", _("Disabled")),
            ("problem", _("With a problem")),
            ("retired", _("Retired")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "retired":
            return queryset.filter(retired_at__isnull=False)
        if self.value() == "problem":
            return queryset.exclude(problem="")
        if self.value():
            queryset = queryset.filter(enabled=self.value() == "enabled")
        return queryset.filter(retired_at=None)


class ScheduleChangeList(ChangeList):
    """Asks for the last runs of all rows of the page at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        last = history.last(rows[0]._state.db, rows) if rows else {}
        for row in rows:
            row.last_outcome = last.get(row.pk)
        self.result_list = rows


@admin.register(Schedule)
class ScheduleAdmin(StrictAdmin):
    form = ScheduleForm
    change_form_template = "admin/dbqueue/schedule/change_form.html"
    list_display = ("name", "times", "next_run", "last_run", "enabled", "notes")
    list_filter = (StateFilter, "origin")
    search_fields = ("name", "task")
    list_per_page = 50
    show_full_result_count = False
    actions = ("enable", "disable", "run_now", "reset")
    readonly_fields: ClassVar[Any] = (
        *("times", "upcoming", "waiting_for", "latest", "runs", "problem"),
        *("origin", "declared_by", "declared_at", "changes", "retired_at"),
        "created_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Where the jobs are, regardless of routers.
        return super().get_queryset(request).using(pages.chosen(request))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ScheduleChangeList

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.alias = pages.chosen(request)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        may = request.user.has_perm(pages.PAYLOAD)
        may = may or self.has_change_permission(request, obj)
        return fieldsets(with_arguments=may)

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may run schedules now."""
        return bool(request.user.has_perm("dbqueue.run_schedule"))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # A worker would write it again; it can be disabled.
        declared = obj is not None and obj.origin != Origin.DATABASE
        is_alive = declared and obj.retired_at is None
        return not is_alive and super().has_delete_permission(request, obj)

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: Any
    ) -> None:
        obj.save(using=pages.chosen(request))

    @admin.display(description=_("when"))
    def times(self, row: Schedule) -> str:
        return "" if row.cadence is None else str(row.cadence)

    @admin.display(description=_("next run"), ordering="next_run_at", empty_value="-")
    def next_run(self, row: Schedule) -> Any:
        return next(iter(map(_shown, row.next_runs(1))), None)

    @admin.display(description=_("last run"), empty_value="-")
    def last_run(self, row: Any) -> Any:
        return row.last_outcome and _run_line(row.last_outcome)

    @admin.display(description=_("notes"), empty_value="")
    def notes(self, row: Schedule) -> Any:
        words = [str(_("retired"))] if row.retired_at is not None else []
        words += [str(_("changed here"))] if row.differs else []
        words += [str(_("due, and no worker fires it"))] if row.is_late else []
        words += [row.problem[:80]] if row.problem else []
        return ", ".join(words) or None

    @admin.display(description=_("next five runs"))
    def upcoming(self, row: Schedule) -> str:
        if row.pk is None or row._state.adding:
            return "-"
        zone = getattr(row.cadence, "zone", None)
        moments = ((_shown(moment, zone),) for moment in row.next_runs())
        return format_html_join("", "<div>{}</div>", moments) or "-"

    @admin.display(description=_("latest runs"))
    def latest(self, row: Schedule) -> str:
        if row._state.adding:
            return "-"
        runs = history.runs(row._state.db or "default", [row])[row.pk]
        lines = ((_run_line(run),) for run in runs)
        return format_html_join("", "<div>{}</div>", lines) or "-"

    @admin.display(description=_("changed here"))
    def changes(self, row: Schedule) -> str:
        lines = ((name, row.declared[name]) for name in row.differs)
        text = "<div>{}, declared as <code>{}</code></div>"
        return format_html_join("", text, lines) or "-"

    @admin.action(permissions=["change"], description=_("Enable selected schedules"))
    def enable(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        self._switch(request, queryset, on=True)

    @admin.action(permissions=["change"], description=_("Disable selected schedules"))
    def disable(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        self._switch(request, queryset, on=False)

    @admin.action(permissions=["run"], description=_("Run selected schedules now"))
    def run_now(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        done = 0
        for row in queryset:
            try:
                result = row.run_now()
            except _REFUSALS as error:
                self.message_user(request, f"{row.name}: {error}", messages.ERROR)
                continue
            self.log_change(request, row, f"Run now, as job {result.id}.")
            done += 1
        text = ngettext("%d job was enqueued.", "%d jobs were enqueued.", done)
        if done:
            self.message_user(request, text % done, messages.SUCCESS)

    @admin.action(
        permissions=["change"], description=_("Undo changes of declared schedules")
    )
    def reset(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        changed = [row for row in queryset if row.differs]
        for row in changed:
            sync.reset(row)
            self.log_change(request, row, "Reset to what is declared.")
        text = ngettext("%d was reset.", "%d were reset.", len(changed))
        self.message_user(request, text % len(changed), messages.SUCCESS)

    def get_urls(self) -> list[Any]:
        ours = [
            path(
                f"<uuid:object_id>/{name}/",
                self.admin_site.admin_view(self._view_of(name)),
                name=f"dbqueue_schedule_{name}",
            )
            for name in ("run_now", "reset")
        ]
        return pages.calm_all([*ours, *super().get_urls()])

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        row: Schedule | None = kwargs.get("obj")
        if row is not None and not row._state.adding:
            may_change = self.has_change_permission(request, row)
            context["can_run"] = self.has_run_permission(request)
            context["can_reset"] = may_change and bool(row.differs)
        return super().render_change_form(request, context, *args, **kwargs)

    def _view_of(self, name: str) -> Any:
        def view(request: HttpRequest, object_id: UUID) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            rows = self.get_queryset(request).filter(pk=object_id)
            row = get_object_or_404(rows)
            may = self.has_run_permission(request)
            if name == "reset":
                may = self.has_change_permission(request, row)
            if not may:
                raise PermissionDenied
            getattr(self, name)(request, rows)
            return redirect("admin:dbqueue_schedule_change", object_id)

        return view

    def _switch(
        self, request: HttpRequest, queryset: QuerySet[Schedule], *, on: bool
    ) -> None:
        rows = [row for row in queryset if row.enabled != on]
        for row in rows:
            row.enabled = on
            row.save(update_fields=["enabled"])
            self.log_change(request, row, "Enabled." if on else "Disabled.")
        enabled = ngettext("%d was enabled.", "%d were enabled.", len(rows))
        disabled = ngettext("%d was disabled.", "%d were disabled.", len(rows))
        text = (enabled if on else disabled) % len(rows)
        self.message_user(request, text, messages.SUCCESS)


def _run_line(run: history.Run) -> Any:
    shown = _shown(run.moment)
    if run.job_id is None or not run.state:
        return format_html("{}: {}", shown, str(run))
    ended = run.state in ("SUCCESSFUL", "FAILED", "CANCELLED")
    place = "finishedjob" if ended else "job"
    url = reverse(f"admin:dbqueue_{place}_change", args=[run.job_id])
    return format_html('{}: <a href="{}">{}</a>', shown, url, str(run))


def _shown(moment: datetime, zone: tzinfo | None = None) -> SafeString:
    """Return it by the reader's clock, and by a zone's if that shows another time."""
    local, theirs = timezone.localtime(moment), moment.astimezone(zone)
    text = f"{date(local, 'DATETIME_FORMAT')} {date(local, 'T')}"
    if zone is not None and theirs.utcoffset() != local.utcoffset():
        text += f" ({date(theirs, 'H:i T')})"
    return format_html("<bdi>{}</bdi>", text)
