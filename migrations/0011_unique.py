"""What keeps jobs from being enqueued twice, and finds those that are too late."""

from django.db import migrations, models

from dbqueue.migrations import _live


def filled(model_name, name, *fields):
    condition = models.Q((f"{fields[0]}__isnull", False))
    index = models.Index(fields=fields, condition=condition, name=name)
    return _live.AddIndex(model_name=model_name, index=index)


class Migration(migrations.Migration):
    atomic = False  # indexes are added to tables in use

    dependencies = [
        ("dbqueue", "0010_statistics"),
    ]

    operations = [
        _live.AddField(
            model_name="finishedjob",
            name="unique_key",
            field=models.CharField(
                max_length=200, null=True, verbose_name="unique key"
            ),
        ),
        _live.AddField(
            model_name="finishedjob",
            name="unique_until",
            field=models.CharField(
                choices=[("F", "Finished"), ("S", "Started")],
                max_length=1,
                null=True,
                verbose_name="unique until",
            ),
        ),
        _live.AddUniqueIndex(
            model_name="job",
            constraint=models.UniqueConstraint(
                fields=["unique_key"],
                condition=models.Q(
                    ("unique_key__isnull", False),
                    models.Q(
                        ("unique_until", "F"),
                        models.Q(("state", "RUNNING"), _negated=True),
                        _connector="OR",
                    ),
                ),
                name="dbqueue_job_unique",
            ),
        ),
        filled("job", "dbqueue_job_expires", "expires_at"),
        filled("finishedjob", "dbqueue_finishedjob_keep", "keep_until"),
        filled(
            "finishedjob", "dbqueue_finishedjob_unique", "unique_key", "finished_at"
        ),
        migrations.CreateModel(
            name="Throttle",
            fields=[
                (
                    "key",
                    models.CharField(
                        max_length=200,
                        primary_key=True,
                        serialize=False,
                        verbose_name="key",
                    ),
                ),
                ("job_id", models.UUIDField(verbose_name="job")),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
            ],
            options={"verbose_name": "throttle", "verbose_name_plural": "throttles"},
        ),
    ]
