"""The invariants of the design, as questions to the tables and to what jobs left.

A fault test ends with `check()`: it names every broken sentence at once. What the
tables cannot tell of themselves (what was committed, what was rolled back, what jobs
did) is handed to it.
"""

import time
from collections import Counter
from itertools import pairwise
from uuid import UUID

from django.db import OperationalError, connection, connections, router, transaction

from dbqueue import dialects, status
from dbqueue.dialects.columns import LOG_LENGTH
from dbqueue.models import FinishedJob, Job, Worker

UNFINISHED = ("SCHEDULED", "BLOCKED", "PAUSED", "READY", "RUNNING")
FINISHED = ("SUCCESSFUL", "FAILED", "CANCELLED")
COUNTED = ("failed", "lost", "timeout")  # reasons that are failures
FAULTS = ("lost", "timeout", "released")  # reasons that end an attempt from outside
# The tasks whose first argument is the key of what they leave.
NOTING = ("tests.support.worker_tasks.", "tests.support.limited_tasks.")
LONG = 5.0  # seconds that a transaction of ours may be open
# Lines that a process may print: in all, for an attempt, for a failure with its
# traceback, and each second.
LINES, LINES_OF_ATTEMPT, LINES_OF_FAILURE, LINES_A_SECOND = 400, 4, 80, 20
STRANGERS = 3  # connections of a test itself
WIDTH = 400  # characters of a line, on average


def check(**given):
    """Fail with every invariant that does not hold; see `broken()`."""
    sentences = broken(**given)
    assert not sentences, "Broken invariants:\n" + "\n".join(sentences)


def broken(
    *,
    committed=(),
    rolled_back=(),
    pruned=(),
    effects=None,
    excused=(),
    processes=(),
    at_rest=False,
):
    """Return a sentence for each invariant that does not hold.

    committed, rolled_back, pruned: job ids, as UUIDs. effects: the log that jobs wrote,
    by their first argument, and of what they have enqueued and rolled back; excused:
    its keys that may have run again without a record, as their record was lost with a
    fault. processes: those that were started. at_rest: nothing is running any more.
    """
    jobs, history = both_tables()
    if effects is not None:
        rolled_back = {*rolled_back, *map(UUID, effects.keys("rolled back"))}
    sentences = [
        *nothing_is_lost(jobs, history, set(committed) - set(pruned)),
        *nothing_came_of_a_rollback(jobs, history, set(rolled_back)),
        *every_job_has_one_record(jobs, history),
        *unfinished_jobs_are_claimable_or_held(jobs),
        *finished_jobs_have_ended(history),
        *logs_are_bounded(jobs, history, processes),
    ]
    for job in (*jobs, *history):
        sentences += attempts_add_up(job)
    if effects is not None:
        sentences += runs_have_their_attempt(jobs, history, effects, set(excused))
    if at_rest:
        sentences += nothing_is_held(jobs)
        sentences += no_transaction_is_open()
        sentences += connections_are_bounded(processes)
        sentences += counts_are_true(jobs)
    return sentences


def both_tables():
    """Return the unfinished and the finished jobs of one and the same moment."""
    alias = router.db_for_read(Job)
    with transaction.atomic(using=alias):
        if connections[alias].vendor == "postgresql":
            with connections[alias].cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return list(Job.objects.all()), list(FinishedJob.objects.all())


def nothing_is_lost(jobs, history, committed):
    """I1: a committed enqueue is claimable, running or finished."""
    there = {job.pk for job in (*jobs, *history)}
    return [f"I1: job {id} was committed and is gone" for id in committed - there]


def nothing_came_of_a_rollback(jobs, history, rolled_back):
    """I2: a rolled-back enqueue never runs."""
    there = {job.pk for job in (*jobs, *history)}
    return [f"I2: job {id} was rolled back and is there" for id in rolled_back & there]


def every_job_has_one_record(jobs, history):
    """I3: a job is unfinished or finished, and that once."""
    twice = {job.pk for job in jobs} & {job.pk for job in history}
    return [f"I3: job {id} is both unfinished and finished" for id in twice]


def unfinished_jobs_are_claimable_or_held(jobs):
    """I1: each is in a state that somebody looks for."""
    for job in jobs:
        if job.state not in UNFINISHED:
            yield f"I1: unfinished job {job.pk} is {job.state}"
        if (job.state == "RUNNING") != (job.worker_id is not None):
            yield f"I1: job {job.pk} is {job.state} with worker {job.worker_id}"
        if job.state == "RUNNING" and not (job.attempt and job.last_attempted_at):
            yield f"I3: job {job.pk} runs and was never claimed"
        if job.state == "SCHEDULED" and job.run_after is None:
            yield f"I1: job {job.pk} waits for no moment"
        if job.state == "BLOCKED" and job.lane is None:
            yield f"I1: job {job.pk} waits in no lane"


def finished_jobs_have_ended(history):
    """I3: the final record tells an end, after the start."""
    for job in history:
        if job.state not in FINISHED:
            yield f"I3: finished job {job.pk} is {job.state}"
        if ended_while_it_waited(job):
            continue
        elif not job.attempt or job.worker_id is None or job.started_at is None:
            yield f"I3: finished job {job.pk} was never claimed"
        elif job.last_attempted_at < job.started_at:
            yield f"I3: job {job.pk} began its last attempt before its first"
        if job.state != "SUCCESSFUL" and not job.attempt_log:
            yield f"I3: job {job.pk} is {job.state} without a reason"


def ended_while_it_waited(job):
    """Tell whether the job was cancelled at a time when no worker had it."""
    last = job.attempt_log[-1] if job.attempt_log else {"worker": None}
    return job.state == "CANCELLED" and "worker" not in last


def attempts_add_up(job):
    """I3: attempts strictly increase, with one outcome for each."""
    log = job.attempt_log
    numbers = [entry["attempt"] for entry in log if "worker" in entry]
    if any(one >= two for one, two in pairwise(numbers)):
        yield f"I3: job {job.pk} has the attempts {numbers} on record"
    if numbers and numbers[-1] > job.attempt:
        yield f"I3: job {job.pk} records attempt {numbers[-1]} of {job.attempt}"
    if job.state in ("RUNNING", "SUCCESSFUL") and job.attempt in numbers:
        yield f"I3: attempt {job.attempt} of {job.state} job {job.pk} failed already"
    if job.state in ("FAILED", "CANCELLED") and job.attempt not in [
        entry["attempt"] for entry in log[-1:]
    ]:
        yield f"I3: {job.state} job {job.pk} has no record of attempt {job.attempt}"
    lives = [place for place, entry in enumerate(log, 1) if "retried_at" in entry]
    counted = sum(
        entry["reason"] in COUNTED for entry in log[lives[-1] if lives else 0 :]
    )
    if counted != job.failures and len(log) < LOG_LENGTH:
        yield f"I3: job {job.pk} has {job.failures} failures and {counted} records"
    if job.state in UNFINISHED and job.failures >= job.max_attempts:
        yield f"I3: job {job.pk} failed {job.failures} times and goes on"
    if job.state == "FAILED" and not job.failures:
        yield f"I3: job {job.pk} is FAILED without a failure"


def runs_have_their_attempt(jobs, history, effects, excused):
    """I4: a job runs again only when its attempt failed or a fault overlapped it."""
    began = effects.counts("began") | effects.counts("ended")
    ended = effects.counts("ended")
    known = {
        job.args[0]: job
        for job in (*jobs, *history)
        if job.args and job.task.startswith(NOTING)
    }
    for key in began.keys() - known.keys() - excused:
        yield f"I2: {key!r} ran, and no job is known by it"
    for key, job in known.items():
        if began[key] > job.attempt:
            yield f"I4: {key!r} ran {began[key]} times in {job.attempt} attempts"
        faults = sum(entry["reason"] in FAULTS for entry in job.attempt_log)
        if ended[key] > 1 + faults and key not in excused:
            yield f"I4: {key!r} ended {ended[key]} times with {faults} faults"
        if job.state == "SUCCESSFUL" and not ended[key]:
            yield f"I3: {key!r} is SUCCESSFUL and did not come to its end"


def nothing_is_held(jobs):
    """I6: what ran has ended or was given back."""
    alive = set(Worker.objects.values_list("pk", flat=True))
    for job in jobs:
        if job.state == "RUNNING":
            holder = "the live" if job.worker_id in alive else "the dead"
            yield f"I6: job {job.pk} is held by {holder} worker {job.worker_id}"


def no_transaction_is_open():
    """I9: nobody keeps a transaction open; on SQLite, nobody keeps writers out.

    One that lasts for a moment is the worker's own: it must have ended when we look
    again.
    """
    if connection.vendor == "sqlite":
        try:
            with dialects.of("default").one_commit():
                return []
        except OperationalError as error:  # it has waited for the connection's timeout
            return [f"I9: somebody keeps writers out: {error}"]
    deadline, left = time.monotonic() + LONG, open_transactions()
    while left and time.monotonic() < deadline:
        left = {key: left[key] for key in left.keys() & open_transactions().keys()}
    return [
        f"I9: backend {pid} keeps a transaction open after {query!r}"
        for (pid, _), query in left.items()
    ]


def open_transactions():
    """Return what transactions that stand idle said last, by backend and start."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid, xact_start, query FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND state LIKE 'idle in transaction%%'"
        )
        return {(pid, start): query for pid, start, query in cursor.fetchall()}


def counts_are_true(jobs):
    """I8: what is shown of the queues is what is in the table."""
    there = Counter((job.queue_name, job.state) for job in jobs)
    shown = Counter()
    for queue in status.queues(router.db_for_read(Job)):
        for state in UNFINISHED:
            shown[queue.queue, state] = getattr(queue, state.lower())
    for key in there.keys() | shown.keys():
        if key[1] in UNFINISHED and there[key] != shown[key]:
            yield f"I8: of {key}, {shown[key]} are shown and {there[key]} are there"


def connections_are_bounded(processes):
    """I7: each process has its loop's connection, one a thread, and one for async."""
    if connection.vendor == "sqlite" or not processes:
        return []
    most = STRANGERS + sum(process.most_connections() for process in processes)
    deadline = time.monotonic() + LONG
    # The server notices after a moment that somebody has gone.
    while (there := len(backends())) > most and time.monotonic() < deadline:
        continue
    return [f"I7: {there} connections, and not {most}"] if there > most else []


def backends():
    """Return the pids of the server's processes that serve others than us here."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return {pid for (pid,) in cursor.fetchall()}


def logs_are_bounded(jobs, history, processes):
    """I7: what is printed grows with what is done, and slowly with time."""
    rows = (*jobs, *history)
    work = LINES_OF_ATTEMPT * sum(max(0, job.attempt) for job in rows)
    work += LINES_OF_FAILURE * sum(len(job.attempt_log) for job in rows)
    for process in processes:
        if process.is_verbose:
            continue
        text, most = process.output, LINES + work + LINES_A_SECOND * process.age()
        if text.count("\n") > most or len(text) > WIDTH * most:
            yield (
                f"I7: {process.log.name} has {text.count(chr(10))} lines and "
                f"{len(text)} characters, and not {most:.0f} lines"
            )


def in_order(history, effects, served):
    """I5: jobs that waited together, for one thread, began by group, priority, age.

    `served` are the groups of queues, in their order.
    """
    jobs = {job.args[0]: job for job in history}
    groups = {queue: rank for rank, group in enumerate(served) for queue in group}

    def place(key):
        job = jobs[key]
        return groups[job.queue_name], -job.priority, job.enqueued_at, job.pk

    for one, two in pairwise(key for key in effects.keys() if key in jobs):  # noqa: SIM118
        if place(one) > place(two):
            yield f"I5: {one!r} began before {two!r}"
