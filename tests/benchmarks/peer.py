"""One side of the comparison, in a process with its settings: enqueue, drain, count.

python -m tests.benchmarks.peer enqueue|backlog|finished COUNT
"""

import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.settings")
django.setup()

from django.db import connection  # noqa: E402  after setup()

from tests.benchmarks.tasks import stamp  # noqa: E402


def enqueue(count):
    """Enqueue one by one, each in a transaction of its own; print the rate."""
    stamp.enqueue(0)
    began = time.perf_counter()
    for number in range(count):
        stamp.enqueue(number)
    print(count / (time.perf_counter() - began))


def backlog(count):
    """Write the jobs that a drain will find, as fast as the peer can."""
    if os.environ["PEER"] == "dbqueue":
        from dbqueue import enqueue_many

        enqueue_many(stamp, [(number,) for number in range(count)])
        return
    from django.db import transaction

    with transaction.atomic():
        for number in range(count):
            stamp.enqueue(number)


def finished(count):
    """Print the moment the last job was finished in the store; demand that all are."""
    if os.environ["PEER"] == "dbqueue":
        from dbqueue.models import FinishedJob as Store

        done = Store.objects.filter(state="SUCCESSFUL")
    else:
        from django_tasks_db.models import DBTaskResult as Store

        done = Store.objects.filter(status="SUCCESSFUL")
    found = done.count()
    if found != count:
        raise SystemExit(f"{found} of {count} jobs are finished")
    print(done.order_by("-finished_at").first().finished_at.timestamp())


if __name__ == "__main__":
    connection.ensure_connection()
    {"enqueue": enqueue, "backlog": backlog, "finished": finished}[sys.argv[1]](
        int(sys.argv[2])
    )
