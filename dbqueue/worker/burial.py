"""What becomes of the jobs a dead child held."""

from collections.abc import Sequence
from uuid import UUID

from dbqueue import maintenance
from dbqueue.dialects.rows import HeldJob
from dbqueue.worker.slots import ENDED, Slot, SlotState


def bury(alias: str, slots: Sequence[Slot]) -> bool:
    """Rescue what dead children held and free their slots; return whether any did."""
    ended = [slot for slot in slots if slot.state in ENDED]
    for slot in ended:
        begun = slot.running()
        maintenance.retire(alias, slot.worker_id)
        # Until nothing is left but what is locked: that is an orphan now.
        while _rescue(alias, slot, begun):
            pass
        slot.state = SlotState.EMPTY
    return bool(ended)


def _rescue(alias: str, slot: Slot, begun: set[UUID]) -> int:
    by_reason: dict[str, list[HeldJob]] = {}
    for job in maintenance.held_by(alias, slot.worker_id):
        by_reason.setdefault(_reason(slot, job.id, begun), []).append(job)
    return sum(
        maintenance.rescue(alias, jobs, reason=reason)
        for reason, jobs in by_reason.items()
    )


def _reason(slot: Slot, job_id: UUID, begun: set[UUID]) -> str:
    """Return why the job did not end; only what the child had begun is at risk."""
    if slot.state is SlotState.OVERDUE and job_id == slot.culprit:
        return "timeout"
    if slot.state is SlotState.DEAD and job_id in begun:
        return "lost"
    return "released"
