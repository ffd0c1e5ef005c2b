"""The parts of the thorough run, how long each takes, and the shares of it for CI.

Minutes are what a part is planned to take on both databases at once, on two cores that
do nothing else. Beside other work it takes longer; each report says how long it took. A
later part is added at the end, and all of them together keep to BUDGET.
"""

from typing import NamedTuple

BUDGET = 83.0  # minutes

# Seconds that are waited for what should come at once: the machine may be busy.
PATIENT = {"DBQUEUE_TEST_PATIENCE": "240"}
FULL = {"DBQUEUE_TEST_SCALE": "10", **PATIENT}
# What a plain run leaves out, at the size of a plain run.
HALF = {"DBQUEUE_TEST_FAULTS": "1", **PATIENT}


class Part(NamedTuple):
    name: str
    what: str
    minutes: float
    paths: tuple[str, ...] = ()  # what pytest runs, below tests/
    # Instead: a module that runs with the arguments, on each database or by itself.
    command: tuple[str, ...] = ()
    databases: bool = True
    environment: dict[str, str] = FULL
    # On each database: more than one where the tests mostly wait for processes.
    processes: int = 1


class Share(NamedTuple):
    """What CI runs on a day: less than two minutes of a part."""

    part: str
    paths: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: dict[str, str] = HALF


_WITHOUT = ("memory", "clock", "hosts")

PARTS = [
    Part(
        "faults",
        "each fault of tests/faults, as often as an issue asked for",
        7.5,
        ("faults", *(f"--ignore=tests/faults/test_{name}.py" for name in _WITHOUT)),
        processes=2,
    ),
    Part(
        "workers",
        "the tests of workers and of maintenance",
        5.5,
        ("worker",),
        processes=2,
    ),
    Part(
        "crash points",
        "a death after each statement, and a second one after each of the recovery; "
        "operators who retry the same 5,000 jobs, and a million, on SQLite 100,000",
        5,
        # What takes longest comes first.
        ("jobs/test_operators.py", "model/test_crash_points.py"),
        processes=2,
    ),
    Part("model", "600 sequences of moves at random", 2, ("model/test_model.py",)),
    Part(
        "memory",
        "200,000 jobs, and the largest that there may be",
        2,
        ("faults/test_memory.py", "uploads/test_memory.py"),
    ),
    Part(
        "clock", "clocks that are wrong, and that step", 1.5, ("faults/test_clock.py",)
    ),
    Part(
        "uploads",
        "hundreds of pictures of any size, deaths at every stage, races",
        2,
        (
            "uploads",
            *("imaging/test_sizes.py", "progress/test_killed.py"),
            *("fields", "browser/test_upload_fields.py", "browser/test_photo.py"),
            "browser/test_buckets.py",
            "--ignore=tests/uploads/test_memory.py",
        ),
        processes=2,
    ),
    Part(
        "versions", "old code and new code side by side", 1, ("core/test_upgrade.py",)
    ),
    Part(
        "hosts",
        "two hosts of eight children behind a table lock of minutes",
        2.5,
        ("faults/test_hosts.py",),
        processes=2,
    ),
    Part(
        "schedules",
        "200 schedules of a second, for five minutes of killed and frozen keepers",
        6.5,
        ("schedules",),
    ),
    Part(
        "limits",
        "limits, orders, turns, unique keys and pauses beside deaths and freezes",
        11,
        (
            "limits",
            "queues",
            *("jobs/test_unique_races.py", "jobs/test_deadlines.py"),
        ),
        processes=2,
    ),
    Part(
        "many rows",
        "claims beside a million rows, and pages of the admin above them",
        2.5,
        (
            "dialects/test_claim_plans.py",
            *("admin/test_scale.py", "browser/test_admin.py"),
            "jobs/test_enqueue.py",
        ),
    ),
    Part(
        "clusters",
        "clusters of django-q2, the tests of its own wheel, Celery side by side",
        3,
        ("compat",),
        processes=2,
    ),
    Part(
        "relay",
        "deaths of relays, of Celery's workers, of Redis and of RabbitMQ, of which one "
        "node in three is cut off, too",
        8,
        ("relay",),
        processes=2,
    ),
    Part("soak", "faults at random under load", 20, command=("tests.manage", "soak")),
    Part(
        "mutants",
        "tests that must notice what is taken away",
        3,
        command=("tests.proof.mutation",),
        databases=False,
    ),
]

SHARES = [
    Share("faults", ("faults/test_connections.py", "faults/test_heartbeats.py")),
    Share(
        "crash points", ("model/test_crash_points.py", "-k", "Prune or SaveFileOver")
    ),
    Share("faults", ("faults/test_refusals.py", "faults/test_restore.py")),
    Share("model", ("model/test_model.py",)),
    Share("workers", ("worker/test_death.py",)),
    Share(
        "faults",
        ("faults/test_jobs.py", "faults/test_pool.py", "faults/test_sqlite.py"),
    ),
    Share("soak", command=("tests.manage", "soak", "1")),
    Share("workers", ("worker/test_stop.py", "worker/test_claims_lost.py")),
    Share("crash points", ("model/test_crash_points.py", "-k", "Work")),
    Share("clock", ("faults/test_clock.py",)),
    Share("workers", ("worker/test_timeouts.py", "worker/test_silence.py")),
    Share("versions", ("core/test_upgrade.py",)),
    Share("faults", ("faults/test_disks.py", "faults/test_answers_lost.py")),
    Share("uploads", ("uploads/test_faults.py", "uploads/test_races.py")),
    Share("clusters", ("compat/test_django_q2_clusters.py",)),
    Share("clusters", ("compat/test_celery_sides.py",)),
    Share("relay", ("relay/test_celery.py", "-k", "redis")),
    Share("relay", ("relay/test_tracks.py", "-k", "redis")),
]


def named(name):
    """Return the part of that name; its spaces may be written as dashes."""
    for part in PARTS:
        if part.name == name.replace("-", " "):
            return part
    raise LookupError(name)


def share_of(day):
    """Return what is due on a day: each in turn."""
    return SHARES[day.toordinal() % len(SHARES)]
