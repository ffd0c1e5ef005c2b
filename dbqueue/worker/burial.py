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
        while held := maintenance.held_by(alias, slot.worker_id):
            _rescue(alias, slot, held, begun)
        slot.state = SlotState.EMPTY
    return bool(ended)


def _rescue(alias: str, slot: Slot, held: list[HeldJob], begun: set[UUID]) -> None:
    by_reason: dict[str, list[HeldJob]] = {}
    for job in held:
        by_reason.setdefault(_reason(slot, job.id, begun), []).append(job)
    for reason, jobs in by_reason.items():
        maintenance.rescue(alias, jobs, reason=reason)


def _reason(slot: Slot, job_id: UUID, begun: set[UUID]) -> str:
    """Return why the job did not end; only what the child had begun is at risk."""
    if slot.state is SlotState.OVERDUE and job_id == slot.culprit:
        return "timeout"
    if slot.state is SlotState.DEAD and job_id in begun:
        return "lost"
    return "released"
