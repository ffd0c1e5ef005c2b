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
        if _rescue(alias, slot, begun):
            maintenance.retire(alias, slot.worker_id)
            # What the child's last statement claimed before that.
            _rescue(alias, slot, begun)
            slot.state = SlotState.EMPTY
    return bool(ended)


def _rescue(alias: str, slot: Slot, begun: set[UUID]) -> bool:
    """Rescue what is not locked; return whether nothing is left.

    What is locked waits for the next round. Only here is known what had not begun.
    """
    while _rescue_some(alias, slot, begun):
        pass
    return not maintenance.held_by(alias, slot.worker_id)


def _rescue_some(alias: str, slot: Slot, begun: set[UUID]) -> int:
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
