"""What may be done to jobs: each a move of `dbqueue.jobs`, with its permission."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from dbqueue.dialects.moves import WAITING
from dbqueue.jobs.moves.steps import APPLIES
from dbqueue.models import JobState
from dbqueue.tasks.moves import Moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A move as the admin offers it; `done` is its outcome of one job, and of many."""

    move: str
    label: Any
    permission: str
    done: Any
    field: str = ""  # what it takes: a queue, a priority, or a reason
    question: Any = ""  # asked before what cannot be taken back
    kind: str = ""

    @property
    def states(self) -> tuple[str, ...]:
        return APPLIES[self.move]

    @property
    def is_of_history(self) -> bool:
        return JobState.FAILED in self.states

    @property
    def asks(self) -> bool:
        return bool(self.field or self.question)

    def is_permitted(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(f"dbqueue.{self.permission}"))

    def values(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return what the move is called with. Raises ValueError for a wrong value."""
        text = given.get("value", "").strip()
        if self.field == "queue_name":
            if not text:
                raise ValueError(_("Say which queue."))
            return {"queue_name": text}
        if self.field == "priority":
            try:
                return {"priority": int(text)}
            except ValueError:
                message = _("%r is not a whole number from -100 to 100.") % text
                raise ValueError(message) from None
        return {self.field: text} if self.field else {}


ACTS = (
    Act(
        move="retry",
        label=gettext_lazy("Retry"),
        permission="retry_job",
        done=ngettext_lazy("%s job will be run again", "%s jobs will be run again"),
        kind="main",
    ),
    Act(
        move="run_now",
        label=gettext_lazy("Run now"),
        permission="run_job",
        done=ngettext_lazy("%s job was made due", "%s jobs were made due"),
        kind="main",
    ),
    Act(
        move="move_to",
        label=gettext_lazy("Move to queue…"),
        permission="requeue_job",
        done=ngettext_lazy("%s job was moved", "%s jobs were moved"),
        field="queue_name",
    ),
    Act(
        move="set_priority",
        label=gettext_lazy("Change priority…"),
        permission="prioritise_job",
        done=ngettext_lazy(
            "%s job was given the priority", "%s jobs were given the priority"
        ),
        field="priority",
    ),
    Act(
        move="cancel",
        label=gettext_lazy("Cancel…"),
        permission="cancel_job",
        done=ngettext_lazy("%s job was cancelled", "%s jobs were cancelled"),
        field="reason",
        question=gettext_lazy(
            "Jobs that wait end as cancelled, and running ones are asked to stop."
        ),
        kind="danger",
    ),
    Act(
        move="discard",
        label=gettext_lazy("Discard…"),
        permission="discard_job",
        done=ngettext_lazy("%s record was deleted", "%s records were deleted"),
        question=gettext_lazy("The records are deleted. This cannot be taken back."),
        kind="danger",
    ),
)
BY_MOVE = {act.move: act for act in ACTS}


def of_table(*, is_history: bool) -> list[Act]:
    """Return the acts of jobs in that table."""
    return [act for act in ACTS if act.is_of_history == is_history]


def outcome(act: Act, moved: Moved) -> str:
    """Return what was done, and what was left and why, in words."""
    words = [str(act.done % (moved.done,))] if moved.done or not moved.asked else []
    if moved.asked:
        asked = ngettext_lazy(
            "%s running job was asked to stop", "%s running jobs were asked to stop"
        )
        words.append(str(asked % (moved.asked,)))
    left = sum(moved.skipped.values())
    if left:
        why = ", ".join(
            f"{count} {_why(state)}" for state, count in moved.skipped.items()
        )
        words.append(_("%(left)s skipped: %(why)s") % {"left": left, "why": why})
    return ", ".join(words)


def _why(state: str) -> str:
    reasons: dict[str, Callable[[], str]] = {
        "unknown": lambda: _("already gone"),
        "busy": lambda: _("changed by others at that moment"),
        "stopping": lambda: _("already asked to stop"),
        "running": lambda: _("already running"),
    }
    if state in reasons:
        return reasons[state]()
    known = {name.lower(): name for name in (*WAITING, *APPLIES["retry"])}
    return str(JobState(known[state]).label).lower() if state in known else state
