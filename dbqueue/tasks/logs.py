"""A filter that tells each line of any log which job it belongs to."""

import logging

from dbqueue.tasks import context


class JobFilter(logging.Filter):
    """Adds to each record the job that runs where it is written; drops none.

    Attributes: `job_id`, `task`, `queue`, all "" outside of a job; `attempt`, 0 there;
    and `context`, a dict of the values bound by bind_context(). A record that has one
    of them already, as those of dbqueue itself have, keeps it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        job = context.running.get(None)
        known = vars(record)
        if job is None:
            found = {"job_id": "", "task": "", "queue": "", "attempt": 0}
        else:
            found = {
                "job_id": str(job.id),
                "task": job.task,
                "queue": job.queue_name,
                "attempt": job.attempt,
            }
        for name, value in {**found, "context": context.current_context()}.items():
            known.setdefault(name, value)
        return True
