"""A finished job run again with other arguments, which its task has to accept."""

import json
from typing import Any

from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import TextField
from django.db.models.functions import Cast
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from dbqueue.admin import site as pages
from dbqueue.admin.acts import audit
from dbqueue.admin.show import payloads
from dbqueue.admin.show.signatures import PREFIX
from dbqueue.exceptions import DbqueueError
from dbqueue.jobs.moves.choosing import choose
from dbqueue.models import Job
from dbqueue.tasks.framework import InvalidTask

PERMISSIONS = ("dbqueue.retry_job", "dbqueue.view_job_payload")


class ArgumentForm:
    """The arguments of a job as JSON; what is left as it was shown stays as it is."""

    def __init__(self, task: str, args: str, kwargs: str) -> None:
        self._args, self._kwargs = json.loads(args), json.loads(kwargs)
        self.fields = [
            {"name": name, "html_name": f"{PREFIX}{n}", "value": text, "problem": ""}
            for n, (name, text) in enumerate(payloads.arguments(task, args, kwargs))
        ]
        self.problem = ""

    def call(self, given: Any) -> tuple[list[Any], dict[str, Any]] | None:
        """Return args and kwargs; None if a field is wrong, which then says so."""
        args, kwargs = list(self._args), dict(self._kwargs)
        for n, field in enumerate(self.fields):
            text = given.get(field["html_name"], field["value"]).replace("\r\n", "\n")
            if text == field["value"]:
                continue  # also what is hidden
            field["value"] = text
            try:
                value = json.loads(text)
            except ValueError as error:
                field["problem"] = _("It is no JSON: %s. A text stands in quotes.") % (
                    error
                )
                continue
            if n < len(args):
                args[n] = value
            else:
                kwargs[field["name"]] = value
        wrong = any(field["problem"] for field in self.fields)
        return None if wrong else (args, kwargs)


def view(page: Any, request: HttpRequest, object_id: Any) -> HttpResponseBase:
    if not all(map(request.user.has_perm, PERMISSIONS)):
        raise PermissionDenied
    casts = {name: Cast(name, TextField()) for name in ("args", "kwargs")}
    texts = {f"{name}_text": cast for name, cast in casts.items()}
    rows = page.get_queryset(request).filter(pk=object_id)
    job = rows.values("task", "backend", **texts).first()
    if job is None:
        raise Http404(_("There is no such job. It may have been pruned."))
    try:
        form = ArgumentForm(job["task"], job["args_text"], job["kwargs_text"])
    except ValueError:
        raise Http404(_("Its arguments are damaged.")) from None
    site = page.admin_site
    if request.method == "POST":
        answer = _retry(request, site, object_id, job["backend"], form)
        if answer is not None:
            return answer
    context = {
        **pages.frame(
            request, site, title=_("Retry with changes"), active="finishedjob"
        ),
        "opts": page.opts,
        "task": job["task"],
        "form": form,
        "back": pages.link(site, "dbqueue_finishedjob_change", object_id),
    }
    return TemplateResponse(request, "admin/dbqueue/again.html", context)


def _retry(
    request: HttpRequest, site: Any, id: Any, backend: str, form: ArgumentForm
) -> HttpResponseBase | None:
    call = form.call(request.POST)
    if call is None:
        return None
    args, kwargs = call
    try:
        moved = choose(id, backend=backend).retry(args=args, kwargs=kwargs)
    except (DbqueueError, ImproperlyConfigured, InvalidTask, TypeError) as error:
        form.problem = str(error)
        return None
    if not moved.done:
        form.problem = str(moved)
        return None
    said = _("Run again with other arguments, as %s") % moved.ids[0]
    audit.log(request.user.pk, Job, said, ids=[id])
    messages.success(request, _("It runs again with these arguments, as a new job."))
    url = pages.link(site, "dbqueue_job_change", moved.ids[0])
    return HttpResponseRedirect(url)
