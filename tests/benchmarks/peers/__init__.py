"""Who is measured, and how each is set up for throughput by its own documentation.

`module` is the peer's own side, imported in its processes alone. It has `enqueue(job,
number)`, where that is measured, and `enqueue_many(job, numbers)`; either may be a
coroutine function.
"""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.benchmarks import site

PYTHON = [sys.executable, "-m"]
HERE = "tests.benchmarks.peers"


@dataclass(frozen=True, kw_only=True)
class Peer:
    name: str  # what PEER is set to
    label: str = ""  # what tables call it; default: its name
    module: str
    pace: int  # no-op jobs in about a second, so that all drain about equally long
    workers: tuple[str, ...]  # one command line each, after `python -m`
    # Asked of the store, in SQL or as a command of Redis: does a job wait or run? It is
    # a quick question, before the other: how many have finished?
    waiting: str = ""
    finished: str = ""
    settings: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)  # of Django's database connection
    # Run once, in an empty database; what it leaves is copied for each run.
    install: str = "django migrate -v 0"
    # What its processes import from, dbqueue from the first; default: the working tree.
    trees: tuple[Path, ...] = ()

    def commands(self):
        return [PYTHON + line.split() for line in self.workers]


def prepared(peer):
    """Let PostgreSQL keep the plans of statements, as pgqueuer's driver always does."""
    return replace(
        peer,
        name=f"{peer.name}-prepared",
        label=f"{peer.name}, prepared",
        options={"server_side_binding": True, "prepare_threshold": 5},
    )


def django_tasks(app, backend):
    return {
        "INSTALLED_APPS": [app],
        "TASKS": {"default": {"BACKEND": f"{app}.{backend}", "QUEUES": []}},
    }


def dbqueue(options="--processes 2", label=""):
    return Peer(
        name="dbqueue",
        label=label,
        module="django_tasks",
        pace=25_000,
        workers=(f"django runworker {options} --no-reload -v 0",),
        waiting="""SELECT EXISTS (SELECT 1 FROM dbqueue_job WHERE state = 'READY')
            OR EXISTS (SELECT 1 FROM dbqueue_job WHERE state = 'RUNNING')""",
        finished="SELECT count(*) FROM dbqueue_finishedjob WHERE state = 'SUCCESSFUL'",
        settings=django_tasks("dbqueue", "backend.DatabaseBackend"),
    )


def pgqueuer(batch, label=""):
    return Peer(
        name="pgqueuer",
        label=label,
        module="pgqueuer",
        pace=20_000,
        workers=(f"{HERE}.pgqueuer {batch}",) * 2,
        waiting="SELECT EXISTS (SELECT 1 FROM pgqueuer)",
        finished="SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'",
        install=f"{HERE}.pgqueuer install",
    )


DBQUEUE = dbqueue()
DBQUEUE_ALONE = replace(DBQUEUE, name="dbqueue-alone", module="dbqueue")
DBQUEUE_PREPARED = prepared(DBQUEUE)
LANED = replace(
    DBQUEUE,
    name="dbqueue-laned",
    module="laned",
    waiting=f"""SELECT ({DBQUEUE.waiting})
        OR EXISTS (SELECT 1 FROM dbqueue_job WHERE state = 'BLOCKED')""",
)
# Its jobs are run by Celery's workers, whose broker BROKER names.
RELAYED = replace(
    DBQUEUE,
    name="dbqueue-relayed",
    module="relayed",
    pace=400,
    workers=(
        f"celery -q -A {HERE}.relayed_app worker -Q relayed -c 2 -n relayed -l WARNING "
        "--without-gossip --without-mingle --without-heartbeat",
    ),
    settings={
        "INSTALLED_APPS": ["dbqueue"],
        "TASKS": {
            "default": {
                "BACKEND": "dbqueue.backend.DatabaseBackend",
                "QUEUES": [],
                "OPTIONS": {
                    "engines": {
                        "default": {
                            "transport": "dbqueue.relay.celery.CeleryTransport",
                            "app": f"{HERE}.relayed_app:app",
                            "queue": "relayed",
                            "max_in_broker": 1_000_000,
                        },
                    },
                },
            },
        },
    },
)
# Three hosts, each with a keeper.
SCHEDULED = replace(
    DBQUEUE,
    name="dbqueue-scheduled",
    module="scheduled",
    workers=("django runworker --threads 2 --no-reload -v 0",) * 3,
)
WATCHED = replace(
    DBQUEUE, name="dbqueue-watched", settings={**DBQUEUE.settings, **site.SETTINGS}
)
UNCOUNTED = replace(
    DBQUEUE,
    label="dbqueue, without statistics",
    workers=(f"{HERE}.uncounted --processes 2 --no-reload -v 0",),
)
TASKS_DB = Peer(
    name="django-tasks-db",
    module="django_tasks",
    pace=700,
    workers=("django db_worker --interval 1 --no-startup-delay -v 0",) * 2,
    waiting="""SELECT EXISTS (SELECT 1 FROM django_tasks_database_dbtaskresult
        WHERE status IN ('READY', 'RUNNING'))""",
    finished="""SELECT count(*) FROM django_tasks_database_dbtaskresult
        WHERE status = 'SUCCESSFUL'""",
    settings=django_tasks("django_tasks_db", "DatabaseBackend"),
)
PGQUEUER, PGQUEUER_500 = pgqueuer(100), pgqueuer(500, "pgqueuer, batch 500")
TASKS_DB_PREPARED = prepared(TASKS_DB)
PROCRASTINATE = Peer(
    name="procrastinate",
    module="procrastinate",
    pace=900,
    workers=(f"procrastinate --app {HERE}.procrastinate.app worker -c 20",) * 2,
    waiting="""SELECT EXISTS (SELECT 1 FROM procrastinate_jobs
        WHERE status IN ('todo', 'doing'))""",
    finished="SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'",
    install=f"procrastinate --app {HERE}.procrastinate.app schema --apply",
)
Q2 = Peer(
    name="django-q2",
    module="django_q",
    pace=500,
    workers=("django qcluster",),
    waiting="SELECT EXISTS (SELECT 1 FROM django_q_ormq)",
    finished="SELECT count(*) FROM django_q_task WHERE success",
    settings={
        "INSTALLED_APPS": ["django_q"],
        "Q_CLUSTER": {
            "name": "benchmarks",
            "orm": "default",
            "workers": 2,
            "bulk": 50,
            "queue_limit": 200,
            "recycle": 100_000,
            "save_limit": 0,  # keep all; its default counts and prunes at every result
            "log_level": "WARNING",
        },
    },
)
# Three of them want the same packages, in portions that leave some for the others.
Q2_CLUSTERS = replace(
    Q2,
    name="django-q2-clusters",
    label="django-q2, its ORM broker",
    workers=Q2.workers * 3,
    settings={
        **Q2.settings,
        "Q_CLUSTER": {**Q2.settings["Q_CLUSTER"], "bulk": 10, "queue_limit": 20},
    },
)
Q2_ON_DBQUEUE = replace(
    Q2_CLUSTERS,
    name="django-q2-on-dbqueue",
    label="django-q2, dbqueue's broker",
    waiting="SELECT EXISTS (SELECT 1 FROM dbqueue_package)",
    settings={
        "INSTALLED_APPS": ["django_q", "dbqueue"],
        "Q_CLUSTER": {
            **Q2_CLUSTERS.settings["Q_CLUSTER"],
            "broker_class": "dbqueue.compat.django_q2.Broker",
        },
    },
)
HUEY = Peer(
    name="huey",
    module="huey",
    pace=6_000,
    workers=("huey.bin.huey_consumer " + HERE + ".huey.huey -k process -w 2 -n -q",),
    waiting="SELECT EXISTS (SELECT 1 FROM task)",
    finished="SELECT count(*) FROM kv",
    install="",
)
CELERY = Peer(
    name="celery",
    label="celery, Redis",
    module="celery",
    pace=1_200,
    workers=tuple(
        f"celery -q -A {HERE}.celery worker -P threads -c 8 -n {name} -l WARNING "
        "--without-gossip --without-mingle --without-heartbeat"
        for name in "ab"
    ),
    finished="EVAL \"return #redis.call('keys', 'celery-task-meta-*')\" 0",
    install="",
)
DRAMATIQ = Peer(
    name="dramatiq",
    label="dramatiq, Redis, no results",
    module="dramatiq",
    pace=3_000,
    workers=(f"dramatiq {HERE}.dramatiq -p 2 -t 8",),
    waiting="HLEN dramatiq:default.msgs",
    install="",
)
# Not a queue: what the databases do for a few lines that ask for nothing else.
BARE = Peer(
    name="bare",
    module="bare",
    pace=0,
    workers=(f"{HERE}.bare",),
    settings=DBQUEUE.settings,
)
BARE_DJANGO = replace(
    BARE, name="bare-django", label="bare, Django's cursor", module="bare_django"
)
REDIS = (DRAMATIQ, CELERY)
PEERS = {
    peer.name: peer
    for peer in (
        *(DBQUEUE, TASKS_DB, PGQUEUER, PROCRASTINATE, Q2),
        *(DBQUEUE_ALONE, DBQUEUE_PREPARED, TASKS_DB_PREPARED, LANED, SCHEDULED),
        *(WATCHED, Q2_CLUSTERS, Q2_ON_DBQUEUE, RELAYED),
        *(HUEY, *REDIS, BARE, BARE_DJANGO),
    )
}
