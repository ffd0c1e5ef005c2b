"""Statistics, workers that have ended, and what users may be permitted to do."""

from django.db import migrations, models

from dbqueue.dialects.statistics import RUNS, WAITS
from dbqueue.migrations import _live

SPANS = [(60, "a minute"), (3600, "an hour")]
ORDERS = [("quiet", "Quiet"), ("resume", "Resume"), ("stop", "Stop")]
JOB_PERMISSIONS = [
    ("view_job_payload", "Can view arguments, results and tracebacks"),
    ("retry_job", "Can retry jobs"),
    ("run_job", "Can run scheduled jobs now"),
    ("cancel_job", "Can cancel jobs"),
    ("requeue_job", "Can move jobs to other queues"),
    ("prioritise_job", "Can change the priority of jobs"),
    ("discard_job", "Can discard finished jobs"),
    ("enqueue_job", "Can enqueue jobs"),
    ("pause_queue", "Can pause and resume queues"),
]


def count(verbose_name):
    return models.IntegerField(default=0, verbose_name=verbose_name)


def worker_field(name, field):
    return _live.AddField(model_name="worker", name=name, field=field)


class Migration(migrations.Migration):
    atomic = False  # columns are added to a table in use

    dependencies = [
        ("dbqueue", "0009_jobfile"),
    ]

    operations = [
        worker_field("facts", models.JSONField(null=True, verbose_name="facts")),
        worker_field(
            "memory",
            models.BigIntegerField(null=True, verbose_name="resident memory"),
        ),
        worker_field(
            "asked",
            models.CharField(
                choices=ORDERS, max_length=10, null=True, verbose_name="asked"
            ),
        ),
        worker_field("is_quiet", models.BooleanField(null=True, verbose_name="quiet")),
        worker_field(
            "ended_at", models.DateTimeField(null=True, verbose_name="ended at")
        ),
        worker_field("was_lost", models.BooleanField(null=True, verbose_name="lost")),
        migrations.AlterModelOptions(
            name="worker",
            options={
                "verbose_name": "worker",
                "verbose_name_plural": "workers",
                "permissions": [("stop_worker", "Can stop workers")],
            },
        ),
        migrations.AlterModelOptions(
            name="job",
            options={
                "verbose_name": "job",
                "verbose_name_plural": "jobs",
                "permissions": JOB_PERMISSIONS,
            },
        ),
        migrations.CreateModel(
            name="Statistic",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "span",
                    models.SmallIntegerField(choices=SPANS, verbose_name="span"),
                ),
                ("at", models.DateTimeField(verbose_name="from")),
                ("queue_name", models.CharField(max_length=100, verbose_name="queue")),
                ("task", models.CharField(max_length=255, verbose_name="task")),
                ("succeeded", count("succeeded")),
                ("failed", count("failed")),
                ("cancelled", count("cancelled")),
                ("retried", count("retried")),
                (
                    "seconds",
                    models.FloatField(default=0.0, verbose_name="seconds run"),
                ),
                *((name, models.IntegerField(default=0)) for name in (*RUNS, *WAITS)),
            ],
            options={
                "verbose_name": "statistic",
                "verbose_name_plural": "statistics",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=["span", "at", "queue_name", "task"],
                        name="dbqueue_statistic_key",
                    )
                ],
            },
        ),
    ]
