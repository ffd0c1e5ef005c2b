"""The tasks of the project: their options, what they did, a form to enqueue them."""

import inspect
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dbqueue.admin import site as pages
from dbqueue.admin.acts import audit
from dbqueue.admin.overview import history
from dbqueue.admin.overview.history import TaskFigures
from dbqueue.admin.show.signatures import SignatureForm
from dbqueue.exceptions import DbqueueError
from dbqueue.models import Job
from dbqueue.tasks.context import bind_context
from dbqueue.tasks.decorator import declared_tasks
from dbqueue.tasks.framework import InvalidTask
from dbqueue.tasks.task import Task

ENQUEUE = "dbqueue.enqueue_job"
_OPTIONS = (
    *("queue_name", "priority", "max_attempts", "timeout", "backoff", "retry_on"),
    *("give_up_on", "atomic", "limit", "fair", "unique", "schedule", "aliases"),
    *("keep", "keep_result", "codec"),
)


class TaskLine:
    """A declared task, and what it did in the last day."""

    def __init__(self, path: str, task: Any, figures: list[TaskFigures], url: str):
        self.path = path
        self.task = task
        self.url = url
        self.name = path.rpartition(".")[2]
        self.module = path.rpartition(".")[0]
        self.attempts = sum(one.attempts for one in figures)
        self.failed = sum(one.attempts_failed for one in figures)
        self.p50 = _worst([one.p50 for one in figures])
        self.p95 = _worst([one.p95 for one in figures])

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.task.func) or ""

    @property
    def summary(self) -> str:
        return self.doc.partition("\n\n")[0]

    @property
    def signature(self) -> str:
        try:
            return f"{self.name}{inspect.signature(self.task.func)}"
        except (TypeError, ValueError):
            return f"{self.name}(…)"

    @property
    def options(self) -> list[tuple[str, Any]]:
        """Return the options that say something else than the default."""
        shown = []
        for name in _OPTIONS:
            value = getattr(self.task, name, None)
            if value not in (None, (), "", False) and (name, value) != ("priority", 0):
                shown.append((name, _said(value)))
        return shown


def _worst(times: list[float | None]) -> float | None:
    return max((time for time in times if time is not None), default=None)


def _said(value: Any) -> Any:
    if isinstance(value, tuple):
        return ", ".join(getattr(item, "__name__", str(item)) for item in value)
    return getattr(value, "__name__", value)


def _lines(site: AdminSite, alias: str, only: str = "") -> list[TaskLine]:
    by_task: dict[str, list[TaskFigures]] = {}
    for figures in history.tasks(alias, "24h"):
        by_task.setdefault(figures.task, []).append(figures)
    return [
        TaskLine(
            path, task, by_task.get(path, []), pages.link(site, "dbqueue_task", path)
        )
        for path, task in sorted(declared_tasks.items())
        if isinstance(task, Task) and only in ("", path)
    ]


def every(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    alias = pages.chosen(request)
    context = {
        **pages.frame(request, site, title=_("Tasks"), active="tasks"),
        "lines": _lines(site, alias),
        "finished_url": pages.link(site, "dbqueue_finishedjob_changelist"),
    }
    return TemplateResponse(request, "admin/dbqueue/tasks.html", context)


def one(request: HttpRequest, site: AdminSite, path: str) -> HttpResponseBase:
    lines = _lines(site, pages.chosen(request), path)
    if not lines:
        raise Http404(_("There is no such task in this process."))
    may_enqueue = request.user.has_perm(ENQUEUE)
    form = SignatureForm(lines[0].task)
    if request.method == "POST":
        if not may_enqueue:
            raise PermissionDenied
        form = SignatureForm(lines[0].task, request.POST)
        answer = _enqueue(request, site, lines[0].task, form)
        if answer is not None:
            return answer
    context = {
        **pages.frame(request, site, title=lines[0].name, active="tasks"),
        "line": lines[0],
        "form": form,
        "may_enqueue": may_enqueue,
        "tasks_url": pages.link(site, "dbqueue_tasks"),
    }
    return TemplateResponse(request, "admin/dbqueue/task.html", context)


def _enqueue(
    request: HttpRequest, site: AdminSite, task: Any, form: SignatureForm
) -> HttpResponseBase | None:
    """Enqueue what the form says, and go to the job; None if something is wrong."""
    call = form.call()
    if call is None:
        return None
    args, kwargs = call
    try:
        with bind_context(user=audit.user_name(request)):
            job = task.using(backend=pages.entry(request)).enqueue(*args, **kwargs)
    except (DbqueueError, ImproperlyConfigured, InvalidTask, TypeError) as error:
        form.problem = str(error)
        return None
    audit.log(request.user.pk, Job, _("Enqueued %s") % task.module_path, ids=[job.id])
    messages.success(request, _("The job is enqueued."))
    return HttpResponseRedirect(pages.link(site, "dbqueue_job_change", job.id))


pages.pages += [
    pages.Page("tasks", gettext_lazy("Tasks"), "tasks/", every, "view_job"),
    pages.Page("task", "", "tasks/<str:path>/", one, "view_job", has_tab=False),
]
