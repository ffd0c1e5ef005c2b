"""Files that were sent for a field and wait for their form."""

import django.db.models.deletion
from django.db import migrations, models

from dbqueue.migrations import _live


class Migration(migrations.Migration):
    atomic = False  # a column is added to a table in use

    dependencies = [
        ("dbqueue", "0017_relay"),
    ]

    operations = [
        _live.AddField(
            model_name="upload",
            name="held_as",
            field=models.TextField(null=True, verbose_name="held as"),
        ),
        migrations.AlterField(
            model_name="uploadartifact",
            name="state",
            field=models.CharField(
                choices=[
                    ("PLANNED", "Planned"),
                    ("LIVE", "Live"),
                    ("PURGE", "To be deleted"),
                    ("HELD", "Holds the bytes"),
                ],
                max_length=10,
                verbose_name="state",
            ),
        ),
        migrations.CreateModel(
            name="FieldUpload",
            fields=[
                (
                    "upload",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="for_field",
                        serialize=False,
                        to="dbqueue.upload",
                    ),
                ),
                ("field_id", models.CharField(max_length=200, verbose_name="field")),
                (
                    "instance_pk",
                    models.CharField(blank=True, max_length=255, verbose_name="object"),
                ),
                ("via", models.CharField(max_length=10, verbose_name="sent by")),
                (
                    "received",
                    models.BigIntegerField(default=0, verbose_name="received"),
                ),
                ("writer", models.UUIDField(null=True, verbose_name="written by")),
                (
                    "is_size_known",
                    models.BooleanField(default=False, verbose_name="size known"),
                ),
                ("parts", models.JSONField(null=True, verbose_name="parts")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                (
                    "completed_at",
                    models.DateTimeField(null=True, verbose_name="completed at"),
                ),
            ],
            options={
                "verbose_name": "upload for a field",
                "verbose_name_plural": "uploads for fields",
                "indexes": [
                    models.Index(
                        fields=["created_at"], name="dbqueue_fieldupload_created"
                    )
                ],
            },
        ),
    ]
