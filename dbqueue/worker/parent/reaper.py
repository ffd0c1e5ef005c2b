"""What becomes of the jobs a dead child held."""

from collections.abc import Sequence
from uuid import UUID

from dbqueue.dialects.columns import HeldJob
from dbqueue.maintenance import leases
from dbqueue.maintenance.rescue import held_by, rescue
from dbqueue.worker.shared import ENDED, ChildState, Phase


def reap(alias: str, children: Sequence[ChildState]) -> bool:
    """Rescue what dead children held and free their places; return whether any died."""
    ended = [child for child in children if child.phase in ENDED]
    for child in ended:
        begun = child.running()
        if _rescue(alias, child, begun):
            leases.retire(alias, child.worker_id)
            # What the child's last statement claimed before that.
            _rescue(alias, child, begun)
            child.phase = Phase.EMPTY
    return bool(ended)


def _rescue(alias: str, child: ChildState, begun: set[UUID]) -> bool:
    """Rescue what is not locked; return whether nothing is left.

    What is locked waits for the next round. Only a child's own keeper knows what had
    not begun.
    """
    others = len(begun) - 1
    if child.phase is Phase.SILENT:  # those that could not begin are others, too
        others = max(1, others)
    beside = dict.fromkeys(begun, others)
    while held := held_by(alias, child.worker_id):
        by_reason: dict[str, list[HeldJob]] = {}
        for job in held:
            by_reason.setdefault(_reason(child, job.id, begun), []).append(job)
        rescued = [
            rescue(alias, jobs, reason=why, beside=beside if why == "lost" else {})
            for why, jobs in by_reason.items()
        ]
        if not any(rescued):
            return False
    return True


def _reason(child: ChildState, job_id: UUID, begun: set[UUID]) -> str:
    """Return why the job did not end; only what the child had begun is at risk."""
    if child.phase is Phase.OVERDUE and (child.was_asked or len(begun) == 1):
        return "timeout" if job_id == child.culprit else "released"
    if child.phase is not Phase.CUT_SHORT and job_id in begun:
        return "lost"
    return "released"
