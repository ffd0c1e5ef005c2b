"""The workers: what each is, what it runs, and a way to quiet and to stop it."""

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from dbqueue.admin import site as pages
from dbqueue.admin import texts
from dbqueue.admin.acts import audit
from dbqueue.admin.base import ReadOnlyAdmin
from dbqueue.admin.listing.search import as_uuid
from dbqueue.models import Job, Worker
from dbqueue.models.worker import WorkerOrder

STOP = "dbqueue.stop_worker"
MOST = 500  # rows, and jobs of them, on a page


class Crew:
    """A worker as the pages show it."""

    def __init__(self, worker: Worker, jobs: list[Any], now: datetime) -> None:
        self.row = worker
        self.jobs = jobs
        self.facts = worker.facts if isinstance(worker.facts, dict) else {}
        self._now = now

    @property
    def state(self) -> tuple[str, str]:
        """Return its state in a word, and the class of its colour."""
        row = self.row
        if row.ended_at is not None:
            return (_("Lost"), "failed") if row.was_lost else (_("Ended"), "")
        if row.expires_at < self._now:
            return _("Silent"), "failed"
        if row.asked == WorkerOrder.STOP:
            return _("Stopping"), "cancelled"
        if row.asked == WorkerOrder.QUIET or row.is_quiet:
            return _("Quiet"), "quiet"
        return _("Live"), "successful"

    @property
    def is_live(self) -> bool:
        return self.row.ended_at is None

    @property
    def takes_orders(self) -> bool:
        return self.is_live and self.row.takes_orders

    @property
    def heartbeat(self) -> float:
        seen = self.row.ended_at or self.row.last_seen
        return float(max(0.0, (self._now - seen).total_seconds()))

    @property
    def slots(self) -> str:
        """Threads and coroutines in which jobs run."""
        threads, others = self.facts.get("threads"), self.facts.get("async")
        return "" if threads is None else f"{threads} + {others}"

    @property
    def _listens(self) -> str:
        if self.row.is_listening is None:
            return ""
        return _("yes") if self.row.is_listening else _("no, it polls")

    @property
    def versions(self) -> str:
        names = ("dbqueue", "django", "python")
        found = ((name, self.facts.get(name)) for name in names)
        return ", ".join(f"{name} {value}" for name, value in found if value)

    @property
    def described(self) -> list[tuple[Any, Any]]:
        """Return what the page of the worker says of it."""
        row = self.row
        found = [
            (_("Host"), row.host),
            (_("Process"), row.pid),
            (_("Command"), self.facts.get("command")),
            (_("Queues"), row.queues),
            (_("Slots: threads + async"), self.slots),
            (_("Memory"), texts.size(row.memory)),
            (_("News of jobs reaches it"), self._listens),
            (_("Cannot read replies of"), ", ".join(self.facts.get("deaf", ()))),
            (_("Started"), texts.moment(row.started_at)),
            (_("Last heartbeat"), texts.moment(row.last_seen)),
            (_("Lease ends"), texts.moment(row.expires_at)),
            (_("Ended"), texts.moment(row.ended_at)),
            (_("Versions"), self.versions),
            (_("Settings"), self.facts.get("settings")),
            (_("Database"), self.facts.get("database")),
        ]
        return [(name, value) for name, value in found if value not in (None, "")]


def crews(site: AdminSite, workers: list[Worker], alias: str) -> list[Crew]:
    """Return the workers with the jobs that they hold."""
    now = timezone.now()
    held: dict[Any, list[Any]] = {}
    ids = [worker.pk for worker in workers if worker.ended_at is None]
    running = Job.objects.using(alias).running().filter(worker_id__in=ids)
    columns = "worker_id", "pk", "task", "last_attempted_at"
    for id, pk, task, began in running.values_list(*columns)[:MOST]:
        ran = texts.duration((now - began).total_seconds()) if began else ""
        url = pages.link(site, "dbqueue_job_change", pk)
        held.setdefault(id, []).append((texts.class_name(task), task, ran, url))
    return [Crew(worker, held.get(worker.pk, []), now) for worker in workers]


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    def get_queryset(self, request: HttpRequest) -> Any:
        return Worker.everyone.using(pages.chosen(request))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._order(request)
        # The live ones first, then those that ended last.
        rows = self.get_queryset(request)
        live = list(rows.filter(ended_at__isnull=True).order_by("name", "pid")[:MOST])
        ended = list(rows.filter(ended_at__isnull=False).order_by("-ended_at")[:50])
        return self._page(request, "workers", [*live, *ended], extra_context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        self.demand_reader(request)
        found = self.get_queryset(request).filter(pk=as_uuid(object_id)).first()
        if found is None:
            raise Http404(_("There is no such worker. It ended over a day ago."))
        return self._page(request, "worker", [found], extra_context)

    def _page(
        self,
        request: HttpRequest,
        name: str,
        workers: list[Worker],
        extra_context: dict[str, Any] | None,
    ) -> TemplateResponse:
        site, alias = self.admin_site, pages.chosen(request)
        title = self.opts.verbose_name_plural if name == "workers" else str(workers[0])
        context = {
            **pages.frame(request, site, title=title, active="worker"),
            "opts": self.opts,
            "crews": crews(site, workers, alias),
            "may_stop": request.user.has_perm(STOP),
            "orders": WorkerOrder,
            **(extra_context or {}),
        }
        return TemplateResponse(request, f"admin/dbqueue/{name}.html", context)

    def _order(self, request: HttpRequest) -> HttpResponseRedirect:
        """Ask a worker's command what was posted; its keeper obeys."""
        if not request.user.has_perm(STOP):
            raise PermissionDenied
        asked, id = request.POST.get("order", ""), as_uuid(request.POST.get("id", ""))
        alias = pages.chosen(request)
        rows = Worker.objects.using(alias).filter(pk=id)
        if any(not row.takes_orders for row in rows):
            messages.warning(
                request,
                _(
                    "This is a process of an engine, which takes no orders from here. "
                    "Stop it where it was started, or pause its queue."
                ),
            )
        elif asked not in WorkerOrder.values or not rows.update(asked=asked):
            messages.warning(request, _("This worker has ended already."))
        else:
            words = {
                WorkerOrder.STOP: _("It is asked to stop when its jobs have ended."),
                WorkerOrder.QUIET: _("It is asked to take no more jobs."),
                WorkerOrder.RESUME: _("It is asked to take jobs again."),
            }
            label = WorkerOrder(asked).label
            audit.log(request.user.pk, Worker, str(label), ids=[id])
            messages.success(request, words[WorkerOrder(asked)])
        return HttpResponseRedirect(request.get_full_path())
