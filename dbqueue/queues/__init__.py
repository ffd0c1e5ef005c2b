"""What may be done to a queue, a task, a limit or a lane as a whole."""

from dbqueue.queues.pauses import (
    apause,
    apaused,
    aresume,
    demand_known,
    pause,
    paused,
    resume,
)

__all__ = ["apause", "apaused", "aresume", "demand_known", "pause", "paused", "resume"]
