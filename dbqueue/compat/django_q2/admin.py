"""Packages of django-q2 in the admin: who has them, and what nobody is given."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from dbqueue import dialects
from dbqueue.admin.base import ReadOnlyAdmin
from dbqueue.compat.django_q2.models import Package
from dbqueue.compat.django_q2.store import Store, database

_STATES = {"waiting": _("Waiting"), "held": _("Held"), "refused": _("Refused")}


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return list(_STATES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows: Any = queryset
        wanted = self.value()
        if wanted is not None and wanted in _STATES:
            rows = getattr(rows, wanted)()
        return rows  # type: ignore[no-any-return]  # a queryset of ours


class PackageAdmin(ReadOnlyAdmin):
    """A package is shown by what is around it: it is never opened here."""

    list_display = ("id", "cluster", "state", "attempt", "held_by", "size", "age")
    list_filter = (StateFilter,)
    search_fields = ("cluster",)
    search_help_text = _("The whole name of a cluster")
    ordering = ("-id",)
    sortable_by = ()
    deferred = ("payload",)
    actions = ("again",)
    fields = (
        *("id", "cluster", "state", "attempt", "held_by", "due_at"),
        *("enqueued_at", "size"),
    )
    readonly_fields = ("id", "state", "held_by", "size")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        alias = database()
        is_due = Q(due_at__lte=dialects.of(alias).clock())
        return Package.objects.using(alias).annotate(
            length=Length("payload"),
            is_waiting=ExpressionWrapper(is_due, output_field=BooleanField()),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if search_term:
            queryset = queryset.filter(cluster=search_term.strip())
        return queryset, False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(ReadOnlyAdmin, self).has_delete_permission(request, obj)

    def has_give_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may give packages to clusters again."""
        return super(ReadOnlyAdmin, self).has_change_permission(request)

    @admin.display(description=_("state"))
    def state(self, row: Any) -> Any:
        if row.due_at is None:
            return format_html("<strong>{}</strong>", _STATES["refused"])
        return _STATES["waiting" if row.is_waiting else "held"]

    @admin.display(description=_("held by"), empty_value="")
    def held_by(self, row: Any) -> str | None:
        return None if row.is_waiting or row.due_at is None else row.holder

    @admin.display(description=_("size"))
    def size(self, row: Any) -> str:
        return filesizeformat(row.length)

    @admin.display(description=_("age"))
    def age(self, row: Package) -> str:
        return timesince(row.enqueued_at, depth=1)

    @admin.action(
        permissions=["give"], description=_("Give refused packages to clusters again")
    )
    def again(self, request: HttpRequest, queryset: QuerySet[Package]) -> None:
        store, done = Store(database()), 0
        for id in queryset.values_list("pk", flat=True):
            new = store.again(id)
            if new is not None:
                self.log_change(request, Package(pk=new), f"Given again, before {id}.")
                done += 1
        text = ngettext("%d waits again.", "%d wait again.", done)
        self.message_user(request, text % done, messages.SUCCESS)
