"""Schedules, and how far each of them has come."""

from django.db import migrations, models

import dbqueue.ids

TUNE = """
ALTER TABLE dbqueue_schedule SET (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
)
"""


def tune_storage(apps, schema_editor):
    # Each tick changes a row. SQLite needs nothing.
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(TUNE)


class Migration(migrations.Migration):
    dependencies = [
        ("dbqueue", "0007_moves"),
    ]

    operations = [
        migrations.CreateModel(
            name="Schedule",
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
                (
                    "name",
                    models.CharField(max_length=255, unique=True, verbose_name="name"),
                ),
                (
                    "description",
                    models.TextField(
                        blank=True, default="", verbose_name="description"
                    ),
                ),
                ("task", models.CharField(max_length=255, verbose_name="task")),
                (
                    "args",
                    models.JSONField(
                        blank=True, default=list, verbose_name="arguments"
                    ),
                ),
                (
                    "kwargs",
                    models.JSONField(
                        blank=True, default=dict, verbose_name="keyword arguments"
                    ),
                ),
                ("cadence", models.JSONField(verbose_name="cadence")),
                (
                    "backend",
                    models.CharField(
                        blank=True, default="", max_length=100, verbose_name="backend"
                    ),
                ),
                (
                    "queue_name",
                    models.CharField(
                        blank=True, default="", max_length=100, verbose_name="queue"
                    ),
                ),
                (
                    "priority",
                    models.SmallIntegerField(
                        blank=True, null=True, verbose_name="priority"
                    ),
                ),
                ("enabled", models.BooleanField(default=True, verbose_name="enabled")),
                (
                    "catch_up",
                    models.CharField(
                        choices=[
                            ("none", "None of them"),
                            ("last", "The last one"),
                            ("all", "All of them"),
                        ],
                        default="last",
                        max_length=10,
                        verbose_name="missed ticks",
                    ),
                ),
                (
                    "catch_up_limit",
                    models.IntegerField(
                        default=1000, verbose_name="missed ticks at most"
                    ),
                ),
                (
                    "overlap",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("allow", "Run both"),
                            ("skip", "Skip the tick"),
                            ("queue_one", "Wait for the end, one at most"),
                            ("cancel_running", "Cancel the run before"),
                        ],
                        default="",
                        max_length=20,
                        verbose_name="overlap",
                    ),
                ),
                ("jitter", models.FloatField(default=0.0, verbose_name="jitter")),
                (
                    "starts_at",
                    models.DateTimeField(
                        blank=True, null=True, verbose_name="starts at"
                    ),
                ),
                (
                    "ends_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="ends at"),
                ),
                (
                    "max_runs",
                    models.IntegerField(
                        blank=True, null=True, verbose_name="runs at most"
                    ),
                ),
                (
                    "expires",
                    models.FloatField(
                        blank=True, null=True, verbose_name="expires after"
                    ),
                ),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("code", "Code"),
                            ("settings", "Settings"),
                            ("database", "Database"),
                        ],
                        default="database",
                        max_length=10,
                        verbose_name="origin",
                    ),
                ),
                ("declared", models.JSONField(null=True, verbose_name="declared")),
                (
                    "declared_by",
                    models.CharField(
                        default="", max_length=255, verbose_name="declared by"
                    ),
                ),
                (
                    "declared_at",
                    models.DateTimeField(null=True, verbose_name="last declared at"),
                ),
                (
                    "retired_at",
                    models.DateTimeField(null=True, verbose_name="retired at"),
                ),
                (
                    "next_run_at",
                    models.DateTimeField(null=True, verbose_name="next run"),
                ),
                ("due_at", models.DateTimeField(null=True, verbose_name="due at")),
                (
                    "waiting_for",
                    models.DateTimeField(
                        null=True,
                        verbose_name="waits for the end of the last run since",
                    ),
                ),
                (
                    "last_run_at",
                    models.DateTimeField(null=True, verbose_name="last run"),
                ),
                ("last_job_id", models.UUIDField(null=True, verbose_name="last job")),
                ("runs", models.IntegerField(default=0, verbose_name="runs")),
                ("recent", models.JSONField(default=list, verbose_name="latest runs")),
                ("problem", models.TextField(default="", verbose_name="problem")),
                (
                    "created_at",
                    models.DateTimeField(auto_now_add=True, verbose_name="created at"),
                ),
            ],
            options={
                "verbose_name": "schedule",
                "verbose_name_plural": "schedules",
                "ordering": ("name",),
                "permissions": [("run_schedule", "Can run schedules now")],
                "indexes": [
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)),
                        fields=["due_at"],
                        name="dbqueue_schedule_due",
                    )
                ],
            },
        ),
        migrations.RunPython(tune_storage, migrations.RunPython.noop),
    ]
