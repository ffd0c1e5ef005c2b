"""What all pages share: tabs, the database that is looked at, and a calm answer."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connections,
    router,
    transaction,
)
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, path, reverse

from dbqueue import dialects
from dbqueue.backend import our_backends
from dbqueue.models import Job

DATABASE = "database"  # the name in a page's address, and in the session
PAYLOAD = "dbqueue.view_job_payload"
LIVE = "X-Dbqueue-Live"  # the header by which a page asks for its live parts again

View = Callable[..., HttpResponseBase]


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is not a model's; `place` is behind …/dbqueue/.

    Its view is called with the request, the site, and what its place captures.
    """

    name: str
    title: Any
    place: str
    view: View
    permission: str  # of the app dbqueue
    has_tab: bool = True


@dataclass(frozen=True, slots=True)
class Tab:
    title: Any
    url: str
    is_active: bool


pages: list[Page] = []
# Models whose lists come first, and in this order; those of wings follow.
_FIRST = ("job", "finishedjob", "queues", "worker", "tasks")


def adopt(site: AdminSite) -> None:
    """Let a site have the pages that are not a model's, before its own of the app."""
    if getattr(site, "_dbqueue_pages", False):
        return
    site._dbqueue_pages = True  # type: ignore[attr-defined]  # ours
    theirs = site.get_urls

    def get_urls() -> Any:
        return [*_urls(site), *theirs()]

    site.get_urls = get_urls  # type: ignore[method-assign]  # of this site alone


def _urls(site: AdminSite) -> list[Any]:
    return [
        path(
            f"dbqueue/{page.place}",
            calm(site.admin_view(permitted(page, site))),
            name=f"dbqueue_{page.name}",
        )
        for page in pages
    ]


def permitted(page: Page, site: AdminSite) -> View:
    """Return the view of a page for a site, closed to who may not see it."""

    def view(request: HttpRequest, **captured: Any) -> HttpResponseBase:
        if not request.user.has_perm(f"dbqueue.{page.permission}"):
            raise PermissionDenied
        return page.view(request, site, **captured)

    return view


def frame(
    request: HttpRequest, site: AdminSite, *, title: Any, active: str
) -> dict[str, Any]:
    """Return what the template of every page is given; `active` is its tab."""
    request.current_app = site.name  # for {% url %}
    if LIVE in request.headers:
        return {"parent": "admin/dbqueue/live.html", "title": title}
    names = databases()
    return {
        **site.each_context(request),
        "parent": "admin/base_site.html",
        "title": title,
        "tabs": tabs(request, site, active),
        "databases": names if len(names) > 1 else [],
        "chosen_database": chosen(request),
        "is_popup": False,
    }


def tabs(request: HttpRequest, site: AdminSite, active: str) -> list[Tab]:
    """Return those that the user may see."""
    found = {
        page.name: (page.title, f"dbqueue_{page.name}")
        for page in pages
        if page.has_tab and request.user.has_perm(f"dbqueue.{page.permission}")
    }
    for model, shown in site._registry.items():
        opts = model._meta
        if opts.app_label == "dbqueue" and shown.has_view_permission(request):
            name = str(opts.model_name)
            found[name] = opts.verbose_name_plural, f"dbqueue_{name}_changelist"
    order = ("overview", *_FIRST, *(name for name in found if name not in _FIRST))
    listed = [name for name in dict.fromkeys(order) if name in found]
    made = [_tab(site, *found[name], name == active) for name in listed]
    return [tab for tab in made if tab is not None]


def _tab(site: AdminSite, title: Any, name: str, is_active: bool) -> Tab | None:
    url = link(site, name)
    return Tab(title, url, is_active) if url else None


def link(site: AdminSite, name: str, *args: Any) -> str:
    """Return the address of a page of the site; "" if it has none."""
    try:
        return reverse(f"admin:{name}", args=args, current_app=site.name)
    except NoReverseMatch:
        return ""


def databases() -> list[str]:
    """Return the aliases of the databases that hold jobs."""
    found = [b.database for b in our_backends().values() if b.stores_jobs]
    return list(dict.fromkeys(found)) or [router.db_for_write(Job)]


def chosen(request: HttpRequest) -> str:
    """Return the alias of the database that the user looks at."""
    names = databases()
    if len(names) == 1:
        return names[0]
    wanted = request.GET.get(DATABASE)
    if wanted in names:
        request.session[f"dbqueue_{DATABASE}"] = wanted
        return str(wanted)
    kept = request.session.get(f"dbqueue_{DATABASE}")
    return str(kept) if kept in names else names[0]


def entry(request: HttpRequest) -> str:
    """Return the entry of TASKS whose jobs the user looks at."""
    alias, ours = chosen(request), our_backends().items()
    return next(name for name, b in ours if b.database == alias and b.stores_jobs)


def calm(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Answer with a page that says so while the database is away."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            with _transactions(request):
                response: Any = view(request, *args, **kwargs)
                if callable(getattr(response, "render", None)):
                    response.render()  # a template may ask, too
                return response  # type: ignore[no-any-return]
        except (InterfaceError, OperationalError, ProgrammingError) as error:
            missing = isinstance(error, DatabaseError) and _is_missing(error)
            if isinstance(error, ProgrammingError) and not missing:
                raise
        return _away(missing=missing)

    # A transaction that cannot begin would fail before the view: it begins inside.
    for alias in connections:
        transaction.non_atomic_requests(alias)(guarded)
    return guarded


def calm_all(urls: list[Any]) -> list[Any]:
    """Make the views of the addresses of a model calm; see calm()."""
    for url in urls:
        url.callback = calm(url.callback)
    return urls


def _transactions(request: HttpRequest) -> ExitStack:
    """Begin those of ATOMIC_REQUESTS, where something may be written.

    A page that only reads would keep others from writing, if SQLite locks at once.
    """
    with ExitStack() as stack:
        for alias in connections if request.method == "POST" else ():
            if connections[alias].settings_dict["ATOMIC_REQUESTS"]:
                stack.enter_context(transaction.atomic(using=alias))
        return stack.pop_all()


def _away(*, missing: bool) -> HttpResponse:
    # No request: what the project adds to every page may ask the database, too.
    text = render_to_string("admin/dbqueue/away.html", {"missing": missing})
    return HttpResponse(text, status=503, headers={"Retry-After": "5"})


def _is_missing(error: DatabaseError) -> bool:
    return dialects.of(databases()[0]).is_missing_table(error)
