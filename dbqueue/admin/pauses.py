"""The page on which a queue is paused, with a reason, and resumed."""

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from dbqueue import queues
from dbqueue.admin import site as pages
from dbqueue.admin.acts import audit
from dbqueue.exceptions import DbqueueError
from dbqueue.models import Job, Pause
from dbqueue.tasks.options import OPERATIONS

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
    entry, what = pages.entry(request), f"queue:{name}"
    said = ""
    try:
        if request.POST.get("move") == "resume":
            if queues.resume(what, backend=entry) is not None:
                said = _("Resumed %s") % name
        elif name == OPERATIONS:
            told = _("This queue is for what operators ask, and stays open.")
            messages.warning(request, told)
        else:
            reason = request.POST.get("reason", "").strip()[:REASON_LENGTH]
            by = audit.user_name(request)
            queues.pause(what, reason=reason, by=by, backend=entry)
            said = _("Paused %s") % name + (f": {reason}" if reason else "")
    except DbqueueError as error:
        messages.error(request, str(error))
    if said:
        audit.log(request.user.pk, Job, said, what=what)
        messages.success(request, said)
    return HttpResponseRedirect(pages.link(site, "dbqueue_queues"))


pages.pages.append(
    pages.Page("queue", "", "queues/<path:name>/", view, "pause_queue", has_tab=False)
)
