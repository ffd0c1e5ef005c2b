"""What limits add to the moves of a job: gates, and why a job does not run."""

from dbqueue import status
from dbqueue.dialects import hooks
from dbqueue.limits import changes, enqueueing, gates, reasons, registry
from dbqueue.queues import pauses

registry.on_use.append(enqueueing.in_use)
hooks.open_gates.append(gates.open_gates)
hooks.sweep_gates.append(gates.sweep)
hooks.after_pause.append(changes.after_pause)
status.reasons.append(reasons.of_blocked)
pauses.known_names[pauses.LIMIT] = changes.demand_known
pauses.known_names[pauses.LANE] = changes.demand_known
