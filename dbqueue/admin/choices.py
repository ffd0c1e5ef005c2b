"""What filters offer, from settings, declarations and statistics: never by a scan."""

from typing import Any

from django.utils.translation import gettext as _

from dbqueue.admin.listing.listing import Listing
from dbqueue.admin.listing.search import AGES
from dbqueue.backend import our_backends
from dbqueue.models import Statistic
from dbqueue.tasks.decorator import declared_tasks

MOST = 500


def queues(alias: str) -> list[str]:
    """Return the queues that the settings or the declared tasks name."""
    found = {"default"}
    for backend in our_backends().values():
        if backend.database == alias:
            found |= set(backend.queues)
    found |= {task.queue_name for task in declared_tasks.values()}
    return sorted(found)[:MOST]


def tasks(alias: str) -> list[str]:
    """Return the tasks that were declared in this process, or ran lately."""
    found = set(declared_tasks)
    lately = Statistic.objects.using(alias).order_by("-at").values_list("task")
    found |= {task for (task,) in lately[:MOST] if not task.startswith("…")}
    return sorted(found)[:MOST]


def ages(listing: Listing) -> list[tuple[str, Any, bool]]:
    """Return the ages that can be asked for."""
    words = {"1h": _("Last hour"), "24h": _("Last 24 hours"), "7d": _("Last 7 days")}
    chosen = listing.wanted.age
    return [(age, words[age], age == chosen) for age in AGES]
