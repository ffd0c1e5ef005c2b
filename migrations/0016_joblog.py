"""The log lines of jobs, and whether a worker hears of new jobs."""

from django.db import migrations, models

from dbqueue.migrations import _live


class Migration(migrations.Migration):
    atomic = False  # a column is added to a table in use

    dependencies = [
        ("dbqueue", "0015_django_q2"),
    ]

    operations = [
        _live.AddField(
            model_name="worker",
            name="is_listening",
            field=models.BooleanField(null=True, verbose_name="listening"),
        ),
        migrations.CreateModel(
            name="JobLog",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "job_id",
                        "attempt",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("job_id", models.UUIDField(verbose_name="job")),
                ("attempt", models.IntegerField(verbose_name="attempt")),
                ("lines", models.TextField(verbose_name="lines")),
                ("dropped", models.IntegerField(default=0, verbose_name="dropped")),
            ],
            options={
                "verbose_name": "log of a job",
                "verbose_name_plural": "logs of jobs",
            },
        ),
    ]
