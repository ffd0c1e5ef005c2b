"""The list of limits, and the page of one with its lanes."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dbqueue.admin import site as pages
from dbqueue.admin.acts import audit
from dbqueue.exceptions import DbqueueError
from dbqueue.limits.admin import orders, seen, words
from dbqueue.limits.models import LimitRule
from dbqueue.tasks import keys

LANE = "lane"  # the value of a key, in the address of a page


def every(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    lines = seen.every(pages.chosen(request))
    context = {
        **pages.frame(request, site, title=_("Limits"), active="limits"),
        "lines": [
            (line, words.allows(line.rule), _link(site, line.rule)) for line in lines
        ],
    }
    return TemplateResponse(request, "admin/dbqueue/limits.html", context)


def one(request: HttpRequest, site: AdminSite, name: str) -> HttpResponseBase:
    problem = ""
    if request.method == "POST":
        try:
            said = orders.Order(request, name).obey()
        except (DbqueueError, ValueError) as error:
            problem = str(error)
        else:
            return orders.done(request, site, name, said)
    value = request.POST.get(LANE, request.GET.get(LANE))
    lane = None if value is None else keys.composed(name, value)
    line = seen.one(pages.chosen(request), name, lane)
    if line is None:
        raise Http404(
            _("There is no such limit. Workers write those that are declared.")
        )
    rule = line.rule
    context = {
        **pages.frame(request, site, title=name, active="limits"),
        "line": line,
        "values": words.values(rule),
        "allows": words.allows(rule),
        "declared": words.allows(rule, declared=True),
        "lane": value,
        "problem": problem,
        "given": request.POST,
        "history": audit.entries_of(name, LimitRule),
        **_rights(request, rule),
        "jobs_url": pages.link(site, "dbqueue_job_changelist"),
        "limits_url": pages.link(site, "dbqueue_limits"),
        "limit_url": _link(site, rule),
    }
    return TemplateResponse(request, "admin/dbqueue/limit.html", context)


def _rights(request: HttpRequest, rule: LimitRule) -> dict[str, Any]:
    """Return what the user may do, and what there is to set for a lane alone."""
    has_own = rule.concurrency is not None and not rule.is_ordered
    return {
        "may_set": request.user.has_perm(orders.SET),
        "may_pause": request.user.has_perm(orders.PAUSE),
        "lane_has_concurrency": has_own and not rule.of_group,
        "lane_has_weight": rule.is_fair,
    }


def _link(site: AdminSite, rule: LimitRule) -> str:
    return pages.link(site, "dbqueue_limit", rule.name)


pages.pages += [
    pages.Page("limits", gettext_lazy("Limits"), "limits/", every, "view_limitrule"),
    pages.Page(
        *("limit", "", "limits/<path:name>/", one, "view_limitrule"), has_tab=False
    ),
]
