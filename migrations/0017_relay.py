"""What relays have published of jobs that wait in queues with an engine."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("dbqueue", "0016_joblog"),
    ]

    operations = [
        migrations.CreateModel(
            name="Dispatch",
            fields=[
                (
                    "job_id",
                    models.UUIDField(
                        primary_key=True, serialize=False, verbose_name="job"
                    ),
                ),
                ("queue_name", models.CharField(max_length=100, verbose_name="queue")),
                ("number", models.IntegerField(default=1, verbose_name="dispatch")),
                ("token", models.UUIDField(verbose_name="token")),
                (
                    "confirmed_at",
                    models.DateTimeField(null=True, verbose_name="confirmed at"),
                ),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
                ("refusal", models.TextField(default="", verbose_name="refusal")),
            ],
            options={
                "verbose_name": "dispatch",
                "verbose_name_plural": "dispatches",
                "indexes": [
                    models.Index(
                        fields=["queue_name", "expires_at"],
                        name="dbqueue_dispatch_overdue",
                    )
                ],
            },
        ),
    ]
