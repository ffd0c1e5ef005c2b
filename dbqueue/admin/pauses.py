"""The page on which a queue is paused, with a reason, and resumed."""

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from dbqueue.admin import site as pages
from dbqueue.admin.acts import audit
from dbqueue.backend import OPERATIONS
from dbqueue.models import Job, Pause
from dbqueue.queues import pauses

REASON_LENGTH = 500


def view(request: HttpRequest, site: AdminSite, name: str) -> HttpResponseBase:
    alias, key = pages.chosen(request), f"queue:{name}"
    rows = Pause.objects.using(alias).filter(key=key)
    if request.method == "POST":
        return _obey(request, site, name)
    context = {
        **pages.frame(request, site, title=name, active="queues"),
        "queue": name,
        "pause": rows.first(),
        "is_operations": name == OPERATIONS,
        "queues_url": pages.link(site, "dbqueue_queues"),
    }
    return TemplateResponse(request, "admin/dbqueue/pause.html", context)


def _obey(request: HttpRequest, site: AdminSite, name: str) -> HttpResponseBase:
    alias, key = pages.chosen(request), f"queue:{name}"
    if request.POST.get("move") == "resume":
        done = pauses.end(alias, pauses.QUEUE, name) is not None
        said = _("Resumed %s") % name
    elif name == OPERATIONS:
        done, said = False, _("This queue is for what operators ask, and stays open.")
        messages.warning(request, said)
    else:
        reason = request.POST.get("reason", "").strip()[:REASON_LENGTH]
        by = audit.user_name(request)
        how = {"reason": reason, "by": by}
        _row, done = pauses.begin(alias, pauses.QUEUE, name, **how)
        said = _("Paused %s") % name + (f": {reason}" if reason else "")
    if done:
        audit.log(request.user.pk, Job, said, what=key)
        messages.success(request, said)
    return HttpResponseRedirect(pages.link(site, "dbqueue_queues"))


pages.pages.append(
    pages.Page("queue", "", "queues/<path:name>/", view, "pause_queue", has_tab=False)
)
