"""What the person who waits is told, in words and as JSON."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dbqueue.models import JobState
from dbqueue.progress.seeing.looks import CAP, Snapshot
from dbqueue.tasks.results import Progress

STATUS = {
    "SCHEDULED": "scheduled",
    "BLOCKED": "waiting",
    "PAUSED": "waiting",
    "READY": "waiting",
    "RUNNING": "running",
    "SUCCESSFUL": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
}
# Seconds until the next look at a job that is not finished.
PACE = {"scheduled": 5, "waiting": 2, "running": 1}


def told(snapshot: Snapshot) -> dict[str, Any]:
    """Return what anybody who may see the job may know of it; no addresses."""
    status = STATUS.get(snapshot.state, "waiting")
    position = snapshot.position
    return {
        "status": status,
        "text": text(snapshot),
        "finished": snapshot.is_finished,
        "stopping": snapshot.is_stopping and not snapshot.is_finished,
        "progress": _progress(snapshot),
        "position": position and min(position, CAP),
        "run_after": snapshot.run_after and snapshot.run_after.isoformat(),
        "error": snapshot.error,
        "retry_after": pace(snapshot),
    }


def pace(snapshot: Snapshot) -> int | None:
    """Return the seconds until it is worth another look; None if it has ended."""
    if snapshot.is_finished:
        return None
    if snapshot.run_after is not None:
        left = (snapshot.run_after - timezone.now()).total_seconds()
        if left > 60:
            return 15
    return PACE[STATUS.get(snapshot.state, "waiting")]


def text(snapshot: Snapshot) -> str:
    """Return in a few words where the job is."""
    if snapshot.state == JobState.FAILED:
        return snapshot.error or _("Sorry, this did not work.")
    if snapshot.is_finished:
        done = snapshot.state == JobState.SUCCESSFUL
        return _("Done.") if done else _("Cancelled.")
    if snapshot.is_stopping:
        return _("Stopping …")
    is_waiting = snapshot.state != JobState.RUNNING
    if is_waiting and snapshot.is_retried:
        return _("Waiting for another attempt …")
    # A job that waits for something else, and asks for it again and again, goes on.
    if not is_waiting or snapshot.has_begun:
        return _("In progress …")
    if snapshot.state == JobState.SCHEDULED:
        return _("Waiting for its time …")
    return _in_line(snapshot.position)


def _in_line(position: int | None) -> str:
    if position is None:
        return _("Waiting …")
    ahead = position - 1
    if ahead >= CAP:
        return _("Waiting: more than %(count)d are ahead.") % {"count": CAP}
    if not ahead:
        return _("Waiting: next in line.")
    return ngettext(
        "Waiting: %(count)d is ahead.", "Waiting: %(count)d are ahead.", ahead
    ) % {"count": ahead}


def _progress(snapshot: Snapshot) -> dict[str, Any] | None:
    given = snapshot.progress
    if snapshot.state == JobState.SUCCESSFUL:
        # The last word of a job may have come too late.
        total = given.total if given else None
        message = given.message if given else ""
        given = Progress(value=total or 1, total=total or 1, message=message)
    if given is None:
        return None
    left = None if snapshot.is_finished else given.seconds_left
    return {
        "value": given.value,
        "total": given.total,
        "percent": given.percent,
        "message": given.message,
        "seconds_left": left,
        "left": _left(left),
    }


def _left(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return ""
    if seconds < 1:
        return _("almost done")
    if seconds < 90:
        count = round(seconds)
        words = ngettext(
            "about %(count)d second left", "about %(count)d seconds left", count
        )
    elif seconds < 90 * 60:
        count = round(seconds / 60)
        words = ngettext(
            "about %(count)d minute left", "about %(count)d minutes left", count
        )
    else:
        count = round(seconds / 3600)
        words = ngettext(
            "about %(count)d hour left", "about %(count)d hours left", count
        )
    return words % {"count": count}
