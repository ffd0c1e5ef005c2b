"""What dbqueue announces of jobs and workers; `dbqueue.jobs.events` says when.

Each signal carries `event`: a JobEvent for the job signals, whose sender is the model
Job, and a WorkerEvent for the worker signals, whose sender is the model Worker. A
receiver that raises is logged and disturbs nothing. Without one, a signal costs one
look.
"""

from django.dispatch import Signal

job_enqueued = Signal()  # written, in the caller's transaction
job_started = Signal()  # an attempt begins
job_finished = Signal()  # SUCCESSFUL, or FAILED for good
job_cancelled = Signal()  # ended by Cancel, or by cancel()
job_moved = Signal()  # acted on from outside; the event's reason names the move
job_retried = Signal()  # the attempt failed, or asked for another one
job_released = Signal()  # stopped by no fault of its own; it counts as no failure
job_rescued = Signal()  # taken from a worker that could not end it; FAILED or READY

worker_ready = Signal()  # it has its row, and claims
worker_stopping = Signal()  # it claims no more
worker_lost = Signal()  # its lease is over, and others take its jobs
