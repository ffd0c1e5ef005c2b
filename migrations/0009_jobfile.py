"""Files that jobs attach for the person who waits."""

from django.db import migrations, models

import dbqueue.ids


class Migration(migrations.Migration):
    dependencies = [
        ("dbqueue", "0008_schedules"),
    ]

    operations = [
        migrations.CreateModel(
            name="JobFile",
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
                ("job_id", models.UUIDField(verbose_name="job")),
                ("attempt", models.IntegerField(verbose_name="attempt")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("PLANNED", "Planned"),
                            ("LIVE", "Live"),
                            ("GONE", "Gone"),
                        ],
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("name", models.CharField(max_length=255, verbose_name="name")),
                ("storage", models.CharField(max_length=100, verbose_name="storage")),
                ("stored_as", models.TextField(verbose_name="stored as")),
                (
                    "content_type",
                    models.CharField(max_length=255, verbose_name="content type"),
                ),
                ("size", models.BigIntegerField(null=True, verbose_name="size")),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
                ("purge_after", models.DateTimeField(verbose_name="delete after")),
            ],
            options={
                "verbose_name": "file of a job",
                "verbose_name_plural": "files of jobs",
                "indexes": [
                    models.Index(fields=["job_id"], name="dbqueue_jobfile_job"),
                    models.Index(fields=["purge_after"], name="dbqueue_jobfile_purge"),
                ],
            },
        ),
    ]
