"""dbqueue with schedules of a second each, all of them due at once."""

from typing import Any

from dbqueue import Every
from dbqueue.models import FinishedJob, Schedule
from tests.benchmarks.peers.django_tasks import noop


def make(count):
    Schedule.objects.bulk_create(
        Schedule(
            name=f"schedule-{number}",
            task=noop.module_path,
            args=[0],
            cadence=Every(1),
            catch_up="all",
        )
        for number in range(count)
    )


def lateness(since, until):
    """Return by how many ms jobs came after their ticks, and by how many they began.

    Raises LookupError if a schedule has not one job for each second.
    """
    names = "run_after", "enqueued_at", "started_at"
    found: Any = FinishedJob.objects.values_list(*names)
    rows = [row for row in found if since <= row[0].timestamp() < until]
    expected = Schedule.objects.count() * len({tick for tick, *_ in rows})
    if len(rows) != expected:
        raise LookupError(f"{len(rows)} jobs were fired, and not {expected}")
    return [
        [(moment - tick).total_seconds() * 1000 for tick, moment in pairs]
        for pairs in (
            [(tick, there) for tick, there, _ in rows],
            [(tick, begun) for tick, _, begun in rows],
        )
    ]
