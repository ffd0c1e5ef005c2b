"""The tables: jobs, their history, and workers."""

from django.db import migrations, models

import dbqueue.ids

TUNE = """
ALTER TABLE dbqueue_job SET (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_threshold = 1000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
)
"""


def tune_storage(apps, schema_editor):
    # The table is small and every row in it changes and goes: room on each page keeps
    # updates off the indexes, and vacuum must come often. SQLite needs neither.
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(TUNE)


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Worker",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=dbqueue.ids.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("name", models.CharField(max_length=255, verbose_name="name")),
                ("host", models.CharField(max_length=255, verbose_name="host")),
                ("pid", models.IntegerField(verbose_name="process id")),
                ("queues", models.CharField(max_length=1000, verbose_name="queues")),
                ("started_at", models.DateTimeField(verbose_name="started at")),
                ("last_seen", models.DateTimeField(verbose_name="last heartbeat")),
                ("expires_at", models.DateTimeField(verbose_name="lease ends")),
            ],
            options={
                "verbose_name": "worker",
                "verbose_name_plural": "workers",
            },
        ),
        migrations.CreateModel(
            name="FinishedJob",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=dbqueue.ids.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("task", models.CharField(max_length=255, verbose_name="task")),
                ("queue_name", models.CharField(max_length=100, verbose_name="queue")),
                (
                    "priority",
                    models.SmallIntegerField(default=0, verbose_name="priority"),
                ),
                ("backend", models.CharField(max_length=100, verbose_name="backend")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("SCHEDULED", "Scheduled"),
                            ("READY", "Ready"),
                            ("RUNNING", "Running"),
                            ("SUCCESSFUL", "Successful"),
                            ("FAILED", "Failed"),
                            ("CANCELLED", "Cancelled"),
                        ],
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("attempt", models.IntegerField(default=0, verbose_name="attempt")),
                ("failures", models.IntegerField(default=0, verbose_name="failures")),
                ("max_attempts", models.SmallIntegerField(verbose_name="max attempts")),
                ("worker_id", models.UUIDField(null=True, verbose_name="worker")),
                ("args", models.JSONField(default=list, verbose_name="arguments")),
                (
                    "kwargs",
                    models.JSONField(default=dict, verbose_name="keyword arguments"),
                ),
                ("context", models.JSONField(default=dict, verbose_name="context")),
                ("progress", models.JSONField(null=True, verbose_name="progress")),
                (
                    "attempt_log",
                    models.JSONField(default=list, verbose_name="attempts"),
                ),
                ("enqueued_at", models.DateTimeField(verbose_name="enqueued at")),
                (
                    "run_after",
                    models.DateTimeField(null=True, verbose_name="run after"),
                ),
                (
                    "started_at",
                    models.DateTimeField(null=True, verbose_name="first started at"),
                ),
                (
                    "last_attempted_at",
                    models.DateTimeField(null=True, verbose_name="last started at"),
                ),
                ("result", models.JSONField(null=True, verbose_name="result")),
                ("finished_at", models.DateTimeField(verbose_name="finished at")),
                ("duration", models.FloatField(null=True, verbose_name="duration")),
            ],
            options={
                "verbose_name": "finished job",
                "verbose_name_plural": "finished jobs",
                "indexes": [
                    models.Index(
                        fields=["state", "finished_at"],
                        name="dbqueue_finishedjob_state",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Job",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=dbqueue.ids.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("task", models.CharField(max_length=255, verbose_name="task")),
                ("queue_name", models.CharField(max_length=100, verbose_name="queue")),
                (
                    "priority",
                    models.SmallIntegerField(default=0, verbose_name="priority"),
                ),
                ("backend", models.CharField(max_length=100, verbose_name="backend")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("SCHEDULED", "Scheduled"),
                            ("READY", "Ready"),
                            ("RUNNING", "Running"),
                            ("SUCCESSFUL", "Successful"),
                            ("FAILED", "Failed"),
                            ("CANCELLED", "Cancelled"),
                        ],
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("attempt", models.IntegerField(default=0, verbose_name="attempt")),
                ("failures", models.IntegerField(default=0, verbose_name="failures")),
                ("max_attempts", models.SmallIntegerField(verbose_name="max attempts")),
                ("worker_id", models.UUIDField(null=True, verbose_name="worker")),
                ("args", models.JSONField(default=list, verbose_name="arguments")),
                (
                    "kwargs",
                    models.JSONField(default=dict, verbose_name="keyword arguments"),
                ),
                ("context", models.JSONField(default=dict, verbose_name="context")),
                ("progress", models.JSONField(null=True, verbose_name="progress")),
                (
                    "attempt_log",
                    models.JSONField(default=list, verbose_name="attempts"),
                ),
                ("enqueued_at", models.DateTimeField(verbose_name="enqueued at")),
                (
                    "run_after",
                    models.DateTimeField(null=True, verbose_name="run after"),
                ),
                (
                    "started_at",
                    models.DateTimeField(null=True, verbose_name="first started at"),
                ),
                (
                    "last_attempted_at",
                    models.DateTimeField(null=True, verbose_name="last started at"),
                ),
            ],
            options={
                "verbose_name": "job",
                "verbose_name_plural": "jobs",
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "READY")),
                        fields=["queue_name", "-priority", "id"],
                        name="dbqueue_job_ready",
                    ),
                    models.Index(
                        condition=models.Q(("state", "SCHEDULED")),
                        fields=["run_after"],
                        name="dbqueue_job_scheduled",
                    ),
                    models.Index(
                        condition=models.Q(("state", "RUNNING")),
                        fields=["worker_id"],
                        name="dbqueue_job_running",
                    ),
                ],
            },
        ),
        migrations.RunPython(tune_storage, migrations.RunPython.noop),
    ]
