"""The packages of django-q2's clusters, and what clusters say of themselves."""

from django.db import migrations, models

TUNE = """
ALTER TABLE dbqueue_package SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000
)
"""


def tune_storage(apps, schema_editor):
    # As of jobs: every row changes and goes, so vacuum must come often.
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(TUNE)


class Migration(migrations.Migration):
    dependencies = [
        ("dbqueue", "0014_spoolbody"),
    ]

    operations = [
        migrations.CreateModel(
            name="ClusterStat",
            fields=[
                (
                    "key",
                    models.CharField(
                        max_length=255,
                        primary_key=True,
                        serialize=False,
                        verbose_name="key",
                    ),
                ),
                ("value", models.TextField(verbose_name="value")),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
            ],
            options={
                "verbose_name": "statistic of a cluster",
                "verbose_name_plural": "statistics of clusters",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Package",
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
                ("cluster", models.CharField(max_length=100, verbose_name="cluster")),
                ("payload", models.TextField(verbose_name="package")),
                ("attempt", models.IntegerField(default=0, verbose_name="attempt")),
                ("due_at", models.DateTimeField(null=True, verbose_name="due at")),
                (
                    "holder",
                    models.CharField(
                        default="", max_length=255, verbose_name="held by"
                    ),
                ),
                ("enqueued_at", models.DateTimeField(verbose_name="enqueued at")),
            ],
            options={
                "verbose_name": "package of django-q2",
                "verbose_name_plural": "packages of django-q2",
                "default_permissions": ("view", "change", "delete"),
                "indexes": [
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)),
                        fields=["cluster", "due_at", "id"],
                        name="dbqueue_package_due",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Call",
            fields=[
                (
                    "job_id",
                    models.UUIDField(editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                (
                    "group",
                    models.CharField(max_length=100, null=True, verbose_name="group"),
                ),
                ("made_at", models.DateTimeField(verbose_name="enqueued at")),
            ],
            options={
                "verbose_name": "call by name or group",
                "verbose_name_plural": "calls by name or group",
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["name"], name="dbqueue_call_name"),
                    models.Index(
                        condition=models.Q(("group__isnull", False)),
                        fields=["group"],
                        name="dbqueue_call_group",
                    ),
                ],
            },
        ),
        migrations.RunPython(tune_storage, migrations.RunPython.noop),
    ]
