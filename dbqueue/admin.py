"""The admin's pages: read-only lists that stay fast at millions of rows."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from dbqueue.backend import our_backends
from dbqueue.models import FinishedJob, Job, JobRecord, JobState, Worker


class Many(int):
    """A number of rows that nobody counted to the end."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # generic in the stubs
    """Counts up to `cap` rows only: a COUNT of millions would cost every page."""

    cap = 10_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        counted: int = rows.order_by().values_list("pk")[: self.cap + 1].count()
        return counted if counted <= self.cap else Many(self.cap)


class StateFilter(admin.SimpleListFilter):
    """The states a table can hold, without asking it."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(state, JobState(state).label) for state in model_admin.states]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Where the jobs are, whatever a router would say; with several, the first.
        backend = next(iter(our_backends().values()), None)
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows if backend is None else rows.using(backend.database)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LeanChangeList(ChangeList):
    """Leaves out what no row of the list shows and what may be long."""

    long = ("args", "kwargs", "context", "attempt_log", "progress", "result")

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        # Only what an index serves: `?o=` would sort millions of rows.
        self.params.pop(ORDER_VAR, None)
        return super().get_ordering(request, queryset)

    def get_queryset(self, request: HttpRequest, *args: Any) -> QuerySet[Any]:
        columns = {field.name for field in self.model._meta.fields}
        rows: QuerySet[Any] = super().get_queryset(request, *args)
        return rows.defer(*columns.intersection(self.long))


class JobRecordAdmin(ReadOnlyAdmin):
    states: tuple[JobState, ...] = ()
    # UUIDv7: the newest first, by the primary key.
    ordering = ("-id",)
    sortable_by = ()
    list_filter = (StateFilter,)
    search_fields = ("id",)
    search_help_text = _("The whole id of a job")
    fields: ClassVar[Any] = (
        ("task", "state"),
        ("queue_name", "priority"),
        ("attempt", "failures", "max_attempts"),
        ("args", "kwargs"),
        ("context", "progress"),
        "attempt_log",
        ("enqueued_at", "run_after"),
        ("started_at", "last_attempted_at"),
        "worker_id",
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LeanChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(pk=_as_uuid(search_term)), False

    @admin.display(description=_("failures"))
    def failed(self, job: JobRecord) -> str:
        return f"{job.failures} of {job.max_attempts}" if job.failures else ""


@admin.register(Job)
class JobAdmin(JobRecordAdmin):
    states = (JobState.SCHEDULED, JobState.READY, JobState.RUNNING)
    list_display = (
        "task",
        "state",
        "queue_name",
        "priority",
        "failed",
        "enqueued_at",
        "run_after",
    )

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        # Each state has an index of its own, in the order in which its jobs move on.
        return {
            "READY": ("queue_name", "-priority", "id"),
            "SCHEDULED": ("run_after",),
            "RUNNING": ("worker_id",),
        }.get(request.GET.get("state", ""), ("-id",))


@admin.register(FinishedJob)
class FinishedJobAdmin(JobRecordAdmin):
    states = (JobState.SUCCESSFUL, JobState.FAILED, JobState.CANCELLED)
    list_display = (
        "task",
        "state",
        "queue_name",
        "failed",
        "enqueued_at",
        "finished_at",
        "took",
    )
    fields: ClassVar[Any] = (
        *JobRecordAdmin.fields,
        ("finished_at", "duration"),
        "result",
    )

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        # The index is on (state, finished_at); without a state the key serves.
        return ("-finished_at",) if request.GET.get("state") else ("-id",)

    @admin.display(description=_("took"))
    def took(self, job: FinishedJob) -> str:
        return "" if job.duration is None else f"{job.duration:.3f} s"


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("name", "host", "pid", "queues", "started_at", "last_seen")
    ordering = ("name", "pid")


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None
