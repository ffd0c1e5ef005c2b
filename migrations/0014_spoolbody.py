"""The bytes that calls of spool functions bring as their body."""

from django.db import migrations, models

import dbqueue.ids


class Migration(migrations.Migration):
    dependencies = [
        ("dbqueue", "0013_cancel_reason"),
    ]

    operations = [
        migrations.CreateModel(
            name="SpoolBody",
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
                ("position", models.IntegerField()),
                ("data", models.BinaryField()),
            ],
            options={
                "verbose_name": "body of a spooled job",
                "verbose_name_plural": "bodies of spooled jobs",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("job_id", "position"),
                        name="dbqueue_spoolbody_position",
                    ),
                ],
            },
        ),
    ]
