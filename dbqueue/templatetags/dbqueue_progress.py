"""{% job_progress %}: how far a job is, on a page that goes on by itself."""

from typing import Any

from django import template

from dbqueue.progress import element, links

register = template.Library()


@register.inclusion_tag("dbqueue/progress/element.html", takes_context=True)
def job_progress(
    context: template.Context,
    job: Any,
    *,
    cancel: bool = False,
    label: str = "",
    redirect: str = "",
    reload: bool = False,
    **attributes: Any,
) -> dict[str, Any]:
    """Show how far a job is, and go on showing it.

    job: a JobResult, or the id of a job.
    cancel: whether there is a button that cancels the job.
    label: what the bar is called by a screen reader; default "Progress".
    redirect: the address to go to when the job has succeeded; "result" is that of the
        first file that it attached.
    reload: whether to load the page again when the job has ended.
    attributes: of the element, such as class="wide".

    Whoever sees the page may ask for the job: by a token in the page. Costs two to five
    queries.
    """
    return {
        **_shown(context, job, cancel, label, redirect, reload, attributes),
        "with_script": True,
    }


@register.inclusion_tag("dbqueue/progress/htmx.html", takes_context=True)
def job_progress_htmx(
    context: template.Context, job: Any, *, cancel: bool = False, label: str = ""
) -> dict[str, Any]:
    """Show the same for a page with htmx, which asks for it again every two seconds."""
    return _shown(context, job, cancel, label, "", False, {})


@register.simple_tag
def job_status_url(job: Any) -> str:
    """Return the address of a job's status as JSON, with a token in it."""
    return links.address("status", element.seen(job, ()).key)


def _shown(
    context: template.Context,
    job: Any,
    cancel: bool,
    label: str,
    redirect: str,
    reload: bool,
    attributes: dict[str, Any],
) -> dict[str, Any]:
    scopes = ("status", "result", "cancel") if cancel else ()
    shown = element.context(
        element.seen(job, scopes),
        request=context.get("request"),
        label=label,
        redirect=redirect,
        reload=reload,
        **attributes,
    )
    csrf, nonce = context.get("csrf_token"), context.get("csp_nonce")
    return {**shown, "csrf_token": csrf, "csp_nonce": nonce}
