"""Read-only pages of the admin that stay fast at millions of rows."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from dbqueue.admin import site as pages
from dbqueue.status import AtLeast


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # generic in the stubs
    """Counts up to `cap` rows only: a COUNT of millions would cost every page."""

    cap = 10_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        counted: int = rows.order_by().values_list("pk")[: self.cap + 1].count()
        return counted if counted <= self.cap else AtLeast(self.cap)


class StateFilter(admin.SimpleListFilter):
    """The states a table can hold, without asking it."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(state.value, state.label) for state in model_admin.states]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class StrictAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    """Refuses an action that the user may not do, where Django shows the list again."""

    # django-unfold has no place above the title, and includes these.
    list_before_template = "admin/dbqueue/bar.html"
    change_form_outer_before_template = "admin/dbqueue/bar.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        wanted = request.POST.getlist("action")
        if any(name and name not in self.get_actions(request) for name in wanted):
            raise PermissionDenied
        return super().changelist_view(request, extra_context)


class ReadOnlyAdmin(StrictAdmin):
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    actions: Any = None
    # Columns that may be long and that the list does not show.
    deferred: tuple[str, ...] = ()

    def get_urls(self) -> Any:
        return pages.calm_all(super().get_urls())

    def demand_reader(self, request: HttpRequest) -> None:
        """Raise PermissionDenied for who may not see the rows, or who sends some."""
        reads = request.method in ("GET", "HEAD")
        if not reads or not self.has_view_permission(request):
            raise PermissionDenied

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LeanChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(pk=_as_uuid(search_term)), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Where the jobs are, regardless of routers.
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.using(pages.chosen(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RecordAdmin(ReadOnlyAdmin):
    """A page of rows that have a state, and a UUIDv7 as their key."""

    states: tuple[Any, ...] = ()
    # The newest first, by the primary key.
    ordering = ("-id",)
    sortable_by = ()
    list_filter = (StateFilter,)
    search_fields = ("id",)


class LeanChangeList(ChangeList):
    """Defers the long columns that the list does not show."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        # Only what an index serves: `?o=` would sort millions of rows.
        self.params.pop(ORDER_VAR, None)
        return super().get_ordering(request, queryset)

    def get_queryset(self, request: HttpRequest, *args: Any) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request, *args)
        page: Any = self.model_admin
        return rows.defer(*page.deferred)


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None
