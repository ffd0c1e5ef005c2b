"""Uploads: the files that wait, their bytes, and what they left in storages."""

import django.db.models.deletion
from django.db import migrations, models

import dbqueue.ids

# Chunks come and go and never change. Pictures do not compress: no attempt is made.
TUNE = """
ALTER TABLE dbqueue_uploadchunk ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE dbqueue_uploadchunk SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 1000
)
"""


def tune_storage(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(TUNE)


class Migration(migrations.Migration):
    dependencies = [
        ("dbqueue", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Upload",
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
                    "state",
                    models.CharField(
                        choices=[
                            ("RECEIVING", "Receiving"),
                            ("STORED", "Waiting"),
                            ("DONE", "Done"),
                            ("REJECTED", "Rejected"),
                            ("SUPERSEDED", "Superseded"),
                            ("FAILED", "Failed"),
                            ("CANCELLED", "Cancelled"),
                        ],
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("model", models.CharField(max_length=200, verbose_name="model")),
                ("object_pk", models.CharField(max_length=255, verbose_name="object")),
                ("field_name", models.CharField(max_length=100, verbose_name="field")),
                ("database", models.CharField(max_length=100, verbose_name="database")),
                ("given_as", models.CharField(max_length=200, verbose_name="given as")),
                ("expected_name", models.TextField(null=True, verbose_name="replaces")),
                ("is_image", models.BooleanField(verbose_name="image")),
                (
                    "filename",
                    models.CharField(max_length=255, verbose_name="file name"),
                ),
                (
                    "content_type",
                    models.CharField(max_length=255, verbose_name="declared type"),
                ),
                ("size", models.BigIntegerField(verbose_name="size")),
                ("sha256", models.CharField(max_length=64, verbose_name="SHA-256")),
                ("chunk_size", models.IntegerField(verbose_name="bytes in a chunk")),
                ("chunk_count", models.IntegerField(verbose_name="chunks")),
                ("policy", models.JSONField(default=dict, verbose_name="policy")),
                ("variants", models.JSONField(default=dict, verbose_name="variants")),
                ("options", models.JSONField(default=dict, verbose_name="options")),
                (
                    "owner_id",
                    models.CharField(blank=True, max_length=255, verbose_name="owner"),
                ),
                ("job_id", models.UUIDField(null=True, verbose_name="job")),
                ("final_name", models.TextField(blank=True, verbose_name="stored as")),
                ("pictures", models.JSONField(default=dict, verbose_name="pictures")),
                ("width", models.IntegerField(null=True, verbose_name="width")),
                ("height", models.IntegerField(null=True, verbose_name="height")),
                (
                    "error_code",
                    models.CharField(blank=True, max_length=50, verbose_name="error"),
                ),
                (
                    "error_message",
                    models.TextField(blank=True, verbose_name="error message"),
                ),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                (
                    "finished_at",
                    models.DateTimeField(null=True, verbose_name="finished at"),
                ),
                (
                    "expires_at",
                    models.DateTimeField(null=True, verbose_name="expires at"),
                ),
            ],
            options={
                "verbose_name": "upload",
                "verbose_name_plural": "uploads",
                "indexes": [
                    models.Index(
                        fields=["model", "object_pk", "field_name", "-id"],
                        name="dbqueue_upload_field",
                    ),
                    models.Index(
                        condition=models.Q(
                            ("state__in", ["RECEIVING", "STORED", "FAILED"])
                        ),
                        fields=["owner_id"],
                        name="dbqueue_upload_open",
                    ),
                    models.Index(fields=["expires_at"], name="dbqueue_upload_expiry"),
                    models.Index(fields=["state", "-id"], name="dbqueue_upload_state"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "STORED")),
                        fields=("model", "object_pk", "field_name", "database"),
                        name="dbqueue_upload_waiting",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UploadArtifact",
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
                ("name", models.TextField(verbose_name="name")),
                (
                    "variant",
                    models.CharField(
                        blank=True, max_length=100, verbose_name="variant"
                    ),
                ),
                (
                    "run",
                    models.CharField(blank=True, max_length=30, verbose_name="run"),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("PLANNED", "Planned"),
                            ("LIVE", "Live"),
                            ("PURGE", "To be deleted"),
                        ],
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                (
                    "purge_after",
                    models.DateTimeField(null=True, verbose_name="delete after"),
                ),
                (
                    "upload",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="artifacts",
                        to="dbqueue.upload",
                    ),
                ),
            ],
            options={
                "verbose_name": "upload artifact",
                "verbose_name_plural": "upload artifacts",
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "PURGE")),
                        fields=["purge_after"],
                        name="dbqueue_uploadartifact_purge",
                    ),
                    models.Index(
                        condition=models.Q(("state", "PLANNED")),
                        fields=["upload"],
                        name="dbqueue_uploadartifact_plan",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UploadChunk",
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
                ("position", models.IntegerField()),
                ("data", models.BinaryField()),
                (
                    "upload",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="dbqueue.upload",
                    ),
                ),
            ],
            options={
                "verbose_name": "upload chunk",
                "verbose_name_plural": "upload chunks",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("upload", "position"),
                        name="dbqueue_uploadchunk_position",
                    )
                ],
            },
        ),
        migrations.RunPython(tune_storage, migrations.RunPython.noop),
    ]
