"""What is told of attempts that have ended on behalf of an engine."""

from collections.abc import Sequence

from dbqueue import dialects
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.jobs import statistics, wakeup


def tell(alias: str, ended: Sequence[tuple[ClaimedJob, Outcome]]) -> None:
    """Count the attempts, and tell of what their ends have made ready."""
    counts = statistics.Counts()
    counts.add(ended, timed=True)
    statistics.write(alias, counts)
    dialect = dialects.of(alias)
    queues = dialect.open_due() | dialect.admitted
    dialect.admitted = set()
    for job, outcome in ended:
        if outcome.state == "READY":
            queues.add(wakeup.SCHEDULE if outcome.delay else job.queue_name)
    for queue in queues:
        wakeup.announce(alias, queue)
