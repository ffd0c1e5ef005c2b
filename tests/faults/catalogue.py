"""The faults, what dbqueue does about each, and the tests that show it.

`python -m tests.faults.report` makes the table of docs/explanation/faults.md from it.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    what: str  # "What happens if …"
    then: str  # what dbqueue does
    how: str  # how it was tested
    tests: tuple[str, ...]  # beginnings of the names of tests, with their modules


DEATH, STOP = "worker/test_death.py::", "worker/test_stop.py::"
OUTAGE, SILENCE = "worker/test_outage.py::", "worker/test_silence.py::"
TIMEOUTS, ISOLATION = "worker/test_timeouts.py::", "worker/test_isolation.py::"
CONNECTIONS = "faults/test_connections.py::"
ANSWERS = "faults/test_answers_lost.py::"
REFUSALS = "faults/test_refusals.py::"
SERVER = "faults/test_server.py::"
SQLITE = "faults/test_sqlite.py::"
JOBS, CLOCK = "faults/test_jobs.py::", "faults/test_clock.py::"
HEARTBEATS, DISKS = "faults/test_heartbeats.py::", "faults/test_disks.py::"
POOL, HOSTS = "faults/test_pool.py::", "faults/test_hosts.py::"
UPKEEP = "faults/test_upkeep.py::"
CLAIMS_LOST = "worker/test_claims_lost.py::"
RACES = "uploads/test_races.py::"
SCHEDULES = "schedules/"
LIMITS, QUEUES, CANCEL = "limits/", "queues/", "worker/test_cancel.py::"
MOVES, UNIQUE = "jobs/test_moves.py::", "jobs/test_unique_races.py::"
OPERATORS = "jobs/test_operators.py::"
POOLER, MEMORY = "faults/test_pooler.py::", "faults/test_memory.py::"

FAULTS = [
    Fault(
        "The database is restored from a backup, or its SQLite file is replaced",
        "Workers go on with what is there. What was running in the backup runs again.",
        "a copy of the file, a dump, `mv` under a worker",
        (
            "faults/test_restore.py::test_a_restored_backup_runs_what_it_has",
            "worker/test_files.py::test_",
        ),
    ),
    Fault(
        "A child is killed",
        "The supervisor sees it at once. What ran is run again, and counts a failure "
        "if it ran alone.",
        "`kill -9` in the middle of a job, and amid hundreds",
        (
            f"{DEATH}test_a_dead_childs_job_runs_again_at_once",
            f"{DEATH}test_all_jobs_finish_after_a_kill[child]",
            f"{DEATH}test_an_atomic_job_that_is_killed",
        ),
    ),
    Fault(
        "The supervisor, the keeper, or all of a worker is killed",
        "Children without a supervisor finish and leave; a keeper is replaced; after "
        "the lease another worker takes what is left.",
        "`kill -9` of each, and of all at once, in the middle of a drain",
        (
            f"{DEATH}test_all_jobs_finish_after_a_kill",
            f"{DEATH}test_a_keeper_that_is_killed_or_stopped_is_replaced",
            f"{DEATH}test_a_restarted_worker_takes_over_within_the_lease",
            f"{STOP}test_children_and_keeper_leave_when_their_supervisor_is_killed",
            f"{STOP}test_all_leave_when_supervisor_and_keeper_are_killed",
        ),
    ),
    Fault(
        "A child, a supervisor or a whole worker freezes past its lease, and thaws",
        "Others take its jobs. What it says afterwards changes no row, and it ends.",
        "`SIGSTOP`, another worker, `SIGCONT`",
        (
            f"{DEATH}test_a_frozen_child",
            f"{DEATH}test_a_frozen_worker",
            f"{DEATH}test_a_frozen_atomic_job",
            f"{DEATH}test_a_freeze_past_a_heartbeat",
            f"{SILENCE}test_a_frozen_supervisor",
        ),
    ),
    Fault(
        "Heartbeats do not arrive, though the database answers all else",
        "The worker gives up its jobs before its lease is over, and takes none until "
        "they arrive again.",
        "A trigger that refuses each write to the row of one worker, while another one "
        "waits for its jobs",
        (f"{HEARTBEATS}test_",),
    ),
    Fault(
        "Keepers that fire schedules are killed, or freeze, or no worker runs for days",
        "Another keeper fires what is due, and each tick is one job. What nobody fired "
        "is caught up as the schedule says.",
        "`kill -9` and `SIGSTOP` of the keepers of three hosts, for minutes; rows of "
        "three days ago",
        (
            f"{SCHEDULES}test_workers.py::test_",
            f"{SCHEDULES}test_firing.py::test_after",
        ),
    ),
    Fault(
        "Clocks are put forward and back, and years have leap days",
        "A schedule fires in those nights as its page says.",
        "Both nights of a change in the zones of the world, and any line against a "
        "reference of its own",
        (f"{SCHEDULES}test_times.py::test_",),
    ),
    Fault(
        "Workers and keepers die or freeze while limits, orders and turns hold",
        "No more run than may, what is ordered keeps its order, and no place is lost.",
        "Three workers and a keeper, one of them killed or frozen every moment; limits "
        "that change meanwhile; an auditor",
        (f"{LIMITS}test_checker.py::test_", f"{LIMITS}test_workers.py::test_"),
    ),
    Fault(
        "Several processes enqueue the same unique key, and workers die",
        "There is one job of the key at a time.",
        "Processes that enqueue as fast as they can, beside workers that finish, "
        "retry and are killed",
        (f"{UNIQUE}test_",),
    ),
    Fault(
        "A queue is paused, and no notification tells of it",
        "Nothing of it begins, on any host, until it is resumed.",
        "Two workers without notifications, one of which starts in the meantime",
        (f"{QUEUES}test_workers.py::test_",),
    ),
    Fault(
        "A running job is cancelled and does not stop, or its worker dies meanwhile",
        "It is asked to stop, and a second later its child is replaced. It is "
        "`CANCELLED`, and runs no more.",
        "Jobs that block, spin, or catch all; a keeper that freezes; a worker that is "
        "frozen and killed",
        (f"{CANCEL}test_a_",),
    ),
    Fault(
        "Several operators retry or cancel the same jobs, or one dies in the middle",
        "Each job runs once more, or is cancelled once.",
        "Commands that retry the same thousands of failed jobs at once, and one a "
        "million (on SQLite 100,000), under workers that drain, and `kill -9`",
        (
            f"{OPERATORS}test_",
            f"{MOVES}test_two_that_",
            f"{MOVES}test_a_job_that_is_cancelled_while_workers_drain",
        ),
    ),
    Fault(
        "A worker has lost a claim and does not know it",
        "What it says changes no row, and is logged.",
        "A row of a worker that is taken away while its lease has minutes left",
        (f"{CLAIMS_LOST}test_",),
    ),
    Fault(
        "A worker is stopped, politely or not",
        "It takes nothing new, finishes within the grace period, and releases the "
        "rest without a failure. A second signal means now.",
        "`TERM`, `INT`, both twice, in a storm, to one process and to the group, while "
        "it forks; `QUIT`, which prints stacks",
        (f"{STOP}test_",),
    ),
    Fault(
        "A connection is terminated: of claims, heartbeats, notifications, or a job",
        "It is reopened. A job whose own connection ended fails and is retried.",
        "`pg_terminate_backend` on each kind, once and again and again in a drain",
        (
            f"{CONNECTIONS}test_work_goes_on_when_a_connection_is_terminated",
            f"{CONNECTIONS}test_nothing_is_lost_when_one_kind",
            f"{OUTAGE}test_a_worker_whose_ear_is_cut_off",
            f"{OUTAGE}test_jobs_run_once_while_connections_are_cut",
            f"{ISOLATION}test_a_job_whose_connection_is_cut_is_retried",
        ),
    ),
    Fault(
        "The answer to a commit is lost: of an enqueue, a claim, a finish",
        "The worker asks what became of it. An enqueue can be repeated under its id.",
        "A proxy that ends the connection when the server has committed",
        (f"{ANSWERS}test_",),
    ),
    Fault(
        "Connections stay open and swallow everything",
        "After 8 to 12 s without an answer they are cut, and reopened.",
        "A proxy that goes mute both ways, for all connections or for one kind",
        (
            f"{CONNECTIONS}test_work_goes_on_when_one_connection_falls_silent",
            f"{SILENCE}test_a_worker_whose_connections_fell_silent",
            f"{SILENCE}test_an_outcome_that_was_sent_into_silence",
            f"{SILENCE}test_connections_that_are_cut",
        ),
    ),
    Fault(
        "The network is slow, or loses packets",
        "Work is slower. Nothing runs twice. A worker whose heartbeats come too late "
        "gives up its jobs before another begins them.",
        "A proxy that delays every packet by 50 ms, 500 ms, 1 s and 5 s, each way, and "
        "that loses 2 and 10 % of them",
        (
            f"{CONNECTIONS}test_a_network_that_is_slow",
            f"{CONNECTIONS}test_a_worker_whose_heartbeats_are_late",
            f"{CONNECTIONS}test_answers_that_are_later",
        ),
    ),
    Fault(
        "PostgreSQL stops, crashes, or is not up yet",
        "Workers wait and try again, at least every five seconds. Jobs that ended in "
        "the meantime are recorded afterwards.",
        "`pg_ctl stop` fast and immediate and `kill -9` of all its processes, again "
        "and again in a drain",
        (
            f"{SERVER}test_a_drain_survives_servers",
            f"{OUTAGE}test_a_drain_survives_restarts",
            f"{OUTAGE}test_a_worker_waits_for_a_server",
            f"{OUTAGE}test_a_worker_without_database_stops",
        ),
    ),
    Fault(
        "The database is away for longer than the lease",
        "Children give up what they hold; it runs again when the database is back.",
        "A server that stays stopped until they do",
        (f"{OUTAGE}test_jobs_are_taken_up_again_after_an_outage",),
    ),
    Fault(
        "The primary dies and a standby is promoted",
        "With both in the connection parameters, workers go on there by themselves.",
        "Streaming replication, `kill -9`, `pg_ctl promote`, two hosts and "
        "`target_session_attrs`",
        (
            f"{SERVER}test_a_promoted_standby",
            f"{SERVER}test_a_standby_that_lacks_the_latest",
        ),
    ),
    Fault(
        "The server refuses a statement: serialization failure, deadlock, lock or "
        "statement timeout, read-only, disk full",
        "The statement is tried again, with pauses. No job notices.",
        "A proxy has the server raise each of these at every statement of dbqueue; "
        "real locks and a real deadlock from a second session",
        (f"{REFUSALS}test_",),
    ),
    Fault(
        "Sessions are REPEATABLE READ or SERIALIZABLE by default",
        "Results are the same. The server may refuse an enqueue, and tells its caller; "
        "or the transaction of a job with `atomic=True`, which is run again and counts "
        "no failure.",
        "Four children and two programs that enqueue; jobs per second on the right",
        (f"{CONNECTIONS}test_a_stricter_default_isolation",),
    ),
    Fault(
        "No more connections are available",
        "Workers wait for one, and so do those that start.",
        "A limit of 0 connections, all present ones terminated, and lifted again",
        (
            f"{CONNECTIONS}test_a_worker_waits_until_it_may_have",
            f"{CONNECTIONS}test_a_worker_starts_once_it_may_have",
        ),
    ),
    Fault(
        "The disk is full",
        "The caller gets the error. Workers keep what has ended, and record it when "
        "there is room.",
        "A tmpfs that is filled in the middle of a drain",
        (f"{SERVER}test_a_full_disk", f"{SQLITE}test_a_full_disk"),
    ),
    Fault(
        "The disk of the worker's own host is full",
        "Plain jobs run on. Uploads are retried, and their bytes are kept.",
        "A tmpfs with its log, its temporary files and the media, filled while it "
        "works; a child that is killed meanwhile",
        (f"{DISKS}test_",),
    ),
    Fault(
        "Jobs take all connections of psycopg's pool",
        "Those that find none fail and are retried. The worker goes on, and comes back "
        "if it loses its own.",
        "A pool of three for six threads; the connection of the loop, terminated",
        (f"{POOL}test_",),
    ),
    Fault(
        "A migration locks the table of the jobs for minutes",
        "Workers wait, with the connections that they always have, and go on.",
        "Two workers of eight processes each; a second session with LOCK TABLE",
        (f"{HOSTS}test_",),
    ),
    Fault(
        "An administrator vacuums, reindexes or clusters the tables in use",
        "Workers wait where the command locks them out, and go on.",
        "The commands, each again and again on each table while jobs are enqueued and "
        "run",
        (f"{UPKEEP}test_",),
    ),
    Fault(
        "An operator discards or retries an upload as it ends",
        "One of both happens, and the operator is told which.",
        "The buttons of the admin, pressed when the file is stored and not promoted",
        (f"{RACES}test_",),
    ),
    Fault(
        "A host's clock is wrong, or steps",
        "Nothing: times are compared by the database's clock. A step of that clock, "
        "or of the host of an SQLite database, may cost running jobs an attempt.",
        "libfaketime: an hour off, and steps of minutes and hours both ways",
        (f"{CLOCK}test_",),
    ),
    Fault(
        "Everything goes through pgbouncer in transaction mode",
        "All works; switch `NOTIFY` off.",
        "Debian's pgbouncer with four connections to the server",
        (f"{POOLER}test_",),
    ),
    Fault(
        "A job crashes its process, or runs out of memory",
        "The child is replaced; the job counts a failure, `lost`. A `MemoryError` "
        "fails that job alone.",
        "A segmentation fault, `os._exit()`, an import that crashes, a limit of memory",
        (
            f"{DEATH}test_a_drain_survives_a_job_that_ends_its_process",
            f"{DEATH}test_an_import_that_ends_the_process",
            f"{JOBS}test_a_job_that_runs_out_of_memory",
        ),
    ),
    Fault(
        "A job kills its worker every time",
        "It is `FAILED`, `lost`, after its `max_attempts`. Those behind it wait as "
        "long as a child takes to start.",
        "Poison jobs before and among good ones",
        (
            f"{DEATH}test_a_job_that_kills_its_worker_ends_lost",
            f"{JOBS}test_jobs_behind_a_poison_job",
            f"{JOBS}test_poison_jobs_among_good_ones",
        ),
    ),
    Fault(
        "A worker runs for long",
        "It needs no more memory than at first.",
        "200,000 jobs; the memory of its processes after 20,000 and after all",
        (f"{MEMORY}test_",),
    ),
    Fault(
        "A job raises `SystemExit` or `KeyboardInterrupt`",
        "It fails like any other. The worker goes on.",
        "In the function, in a receiver of a signal, in a backoff",
        (
            f"{ISOLATION}test_a_job_cannot_end_its_worker",
            f"{ISOLATION}test_an_exit_outside_the_function",
        ),
    ),
    Fault(
        "A job runs past its timeout: in Python, in C, or ignoring cancellation",
        "It is asked to stop, and a second later its child is replaced. The others in "
        "that child lose no attempt that counts.",
        "Loops in Python and in C that hold the GIL, blocking calls, coroutines that "
        "swallow cancellation",
        (f"{TIMEOUTS}test_",),
    ),
    Fault(
        "A job leaves a mess: an open transaction, a broken connection, another "
        "language, time zone or search_path, a lock",
        "Its connection is dropped, its context is its own. The next job is clean.",
        "Jobs that leave each of these, and one behind them in the same thread",
        (
            f"{ISOLATION}test_the_next_",
            f"{JOBS}test_what_a_job_set_in_its_session",
            f"{JOBS}test_what_a_job_told_sqlite",
        ),
    ),
    Fault(
        "Many processes write to one SQLite file",
        "They wait for each other. No enqueue fails.",
        "Four processes that enqueue and four that run jobs; another program that "
        "keeps the write lock",
        (
            f"{SQLITE}test_eight_processes",
            f"{OUTAGE}test_a_worker_starts_while_another_program_writes",
            f"{OUTAGE}test_a_job_that_ends_while_another_program_writes",
        ),
    ),
    Fault(
        "A writer to SQLite dies in its transaction",
        "The transaction never was. The others go on.",
        "`kill -9` between the writes and the commit, of a program and of a child",
        (
            f"{SQLITE}test_a_writer_that_is_killed",
            f"{SQLITE}test_a_child_that_is_killed_while_it_is_the_writer",
        ),
    ),
    Fault(
        "All of this, at random and at once",
        "No invariant breaks. Memory, tables, logs and connections stay bounded.",
        "Twenty minutes of load, and a fault every second or two: deaths, freezes, "
        "cuts, silence, refusals, table locks, slow statements, a full disk, clocks "
        "that step, a small pool",
        ("faults/soak.py::soak",),
    ),
    Fault(
        "A reader of SQLite stalls the checkpoint",
        "The WAL grows until the reader leaves. Nothing else changes.",
        "A transaction that reads, open during a drain",
        (f"{SQLITE}test_a_reader_that_stalls_the_checkpoint",),
    ),
]


def covering(test):
    """Return the faults that a test, by its name with its module, is about."""
    return [
        fault
        for fault in FAULTS
        if any(test.startswith(beginning) for beginning in fault.tests)
    ]
