"""A move of all jobs that a list's filter matches, made by a job, in batches."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from dbqueue.admin.acts import audit
from dbqueue.admin.acts.acts import BY_MOVE, Act, outcome
from dbqueue.admin.listing.listing import Listing
from dbqueue.jobs.moves.choosing import choose
from dbqueue.models import FinishedJob, Job
from dbqueue.tasks.decorator import task
from dbqueue.tasks.moves import Moved
from dbqueue.tasks.options import OPERATIONS


@task(queue_name=OPERATIONS, max_attempts=3, timeout=float("inf"), takes_context=True)
def move_all(
    context: Any,
    move: str,
    backend: str,
    params: dict[str, str],
    values: dict[str, Any],
    asked_at: str,
    user_id: Any,
) -> dict[str, Any]:
    """Make the move of all that the parameters of a list match."""
    act, moment = BY_MOVE[move], parse_datetime(asked_at)
    rows = matching(act, alias_of(backend), params, moment or timezone.now())
    total = rows.order_by().values_list("pk").count()

    def note(moved: Moved) -> None:
        count = moved.done + moved.asked + sum(moved.skipped.values())
        context.set_progress(count, max(total, count, 1), outcome(act, moved))

    moved = make(act, rows, backend, values, user_id, progress=note)
    write_log(user_id, act, moved, params)
    return {"done": moved.done, "asked": moved.asked, "skipped": moved.skipped}


def matching(
    act: Act, alias: str, params: Mapping[str, str], asked_at: datetime
) -> QuerySet[Any]:
    """Return the rows that were there when it was asked, in a state for the move."""
    model: Any = FinishedJob if act.is_of_history else Job
    rows = Listing.all_matching(model.objects.using(alias), params)
    # What fails again after its retry was not asked for.
    column = "finished_at" if act.is_of_history else "enqueued_at"
    return rows.filter(state__in=act.states, **{f"{column}__lte": asked_at})


def make(
    act: Act,
    rows: Any,
    backend: str,
    values: Mapping[str, Any],
    user_id: Any,
    **options: Any,
) -> Moved:
    """Make the move. Raises InvalidTask for a wrong value."""
    if act.move == "cancel":
        options["by"] = audit.name_of(user_id)
    chosen = choose(rows, backend=backend)
    moved: Moved = getattr(chosen, act.move)(**values, **options)
    return moved


def write_log(
    user_id: Any, act: Act, moved: Moved, params: Mapping[str, str] | None
) -> None:
    """Write an entry of the admin's log; `params` is the filter, None for a choice."""
    said = outcome(act, moved)
    model: Any = FinishedJob if act.move == "discard" else Job
    if params is None:
        ids, what = moved.ids, ""
    else:
        asked = " ".join(f"{name}={value}" for name, value in params.items())
        ids, what = [], _("All jobs that match: %s") % (asked or "*")
    deletes = act.move == "discard"
    audit.log(user_id, model, said, ids=ids, what=what, deletes=deletes)


def alias_of(backend: str) -> str:
    return choose([], backend=backend).database
