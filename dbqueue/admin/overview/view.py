"""The page …/dbqueue/, and the pages of queues and tasks that show parts of it."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from dbqueue.admin import site as pages
from dbqueue.admin.listing import rows
from dbqueue.admin.overview import history, shared
from dbqueue.admin.overview.glance import Glance

RANGE = "range"
LABELS = {"1h": _("1 hour"), "24h": _("24 hours"), "7d": _("7 days")}
PERMISSION = "view_job"


def overview(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    return _answer(request, site, "overview", _("Overview"))


def queues(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    return _answer(request, site, "queues", _("Queues"))


def _answer(
    request: HttpRequest, site: AdminSite, name: str, title: Any
) -> HttpResponseBase:
    alias, wanted = pages.chosen(request), request.GET.get(RANGE, "")
    template = f"admin/dbqueue/{name}.html"

    def context(glance: Glance) -> dict[str, Any]:
        frame = pages.frame(request, site, title=title, active=name)
        return {**frame, **_context(request, site, glance)}

    # Whoever has just changed something sees it; pages that look again share a look.
    if pages.LIVE not in request.headers:
        return TemplateResponse(request, template, context(Glance(alias, wanted)))
    reader = request.user.pk, site.name, request.path
    return HttpResponse(
        shared.look(alias, wanted).text(
            reader, lambda seen: render_to_string(template, context(seen), request)
        )
    )


def _context(request: HttpRequest, site: AdminSite, glance: Glance) -> dict[str, Any]:
    return {
        "glance": glance,
        "ranges": [(key, LABELS[key], key == glance.range) for key in history.RANGES],
        "running": rows.made(
            site,
            glance.longest,
            glance.alias,
            payload=request.user.has_perm(pages.PAYLOAD),
            names=glance.names,
        ),
        "may_pause": request.user.has_perm("dbqueue.pause_queue"),
        "jobs_url": pages.link(site, "dbqueue_job_changelist"),
        "finished_url": pages.link(site, "dbqueue_finishedjob_changelist"),
        "queues_url": pages.link(site, "dbqueue_queues"),
        "workers_url": pages.link(site, "dbqueue_worker_changelist"),
    }


pages.pages += [
    pages.Page("overview", _("Overview"), "", overview, PERMISSION),
    pages.Page("queues", _("Queues"), "queues/", queues, PERMISSION),
]
