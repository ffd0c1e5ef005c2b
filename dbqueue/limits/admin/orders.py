"""What operators do to limits and lanes: each is checked, done, and logged."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.translation import gettext as _

from dbqueue import queues
from dbqueue.admin import site as pages
from dbqueue.admin.acts import audit
from dbqueue.limits import changes
from dbqueue.limits.declarations import VALUES
from dbqueue.limits.models import LimitRule
from dbqueue.tasks import keys

SET, PAUSE = "dbqueue.change_limitrule", "dbqueue.pause_queue"
REASON_LENGTH = 500


class Order:
    """What was posted for a limit, or for a lane of it."""

    def __init__(self, request: HttpRequest, name: str) -> None:
        self._request = request
        self._name = name
        self.lane = request.POST.get("lane") if "lane" in request.POST else None
        self._by = audit.user_name(request)
        self._entry = pages.entry(request)

    def obey(self) -> str:
        """Do it, and return what was done in words.

        Raises PermissionDenied, ValueError for what is no number, and DbqueueError for
        what the limit cannot have.
        """
        acts: dict[str, tuple[str, Callable[[], str]]] = {
            "set": (SET, self._set),
            "reset": (SET, self._reset),
            "pause": (PAUSE, self._pause),
            "resume": (PAUSE, self._resume),
        }
        permission, act = acts.get(self._request.POST.get("move", ""), ("", str))
        if not permission or not self._request.user.has_perm(permission):
            raise PermissionDenied
        return act()

    @property
    def _what(self) -> str:
        if self.lane is None:
            return f"limit:{self._name}"
        return f"lane:{keys.composed(self._name, self.lane)}"

    def _set(self) -> str:
        names = VALUES if self.lane is None else ("concurrency", "weight")
        post = self._request.POST
        given = {name: post.get(name, "").strip() for name in names}
        values: dict[str, Any] = {
            n: _number(n, text) for n, text in given.items() if text
        }
        if self.lane is not None:
            values["lane"] = self.lane
        changes.set(self._name, **values, by=self._by, backend=self._entry)
        said = ", ".join(f"{name}={value}" for name, value in values.items())
        return _("Set %(what)s: %(values)s") % {"what": self._what, "values": said}

    def _reset(self) -> str:
        changes.reset(self._name, lane=self.lane, by=self._by, backend=self._entry)
        return _("As declared again: %s") % self._what

    def _pause(self) -> str:
        reason = self._request.POST.get("reason", "").strip()[:REASON_LENGTH]
        queues.pause(self._what, reason=reason, by=self._by, backend=self._entry)
        return _("Paused %s") % self._what + (f": {reason}" if reason else "")

    def _resume(self) -> str:
        queues.resume(self._what, backend=self._entry)
        return _("Resumed %s") % self._what


def done(
    request: HttpRequest, site: AdminSite, name: str, said: str
) -> HttpResponseRedirect:
    """Log what was done, tell it, and go back to the limit."""
    audit.log(request.user.pk, LimitRule, said, ids=[name])
    messages.success(request, said)
    return HttpResponseRedirect(pages.link(site, "dbqueue_limit", name))


def _number(name: str, text: str) -> float:
    try:
        return float(text) if name == "per" else int(text)
    except ValueError:
        raise ValueError(_("%r is not a number.") % text) from None
