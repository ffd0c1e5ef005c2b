"""The state of jobs whose task is paused, and how they are found again."""

from django.db import migrations, models

from dbqueue.migrations import _live

STATES = [
    ("SCHEDULED", "Scheduled"),
    ("BLOCKED", "Blocked"),
    ("PAUSED", "Paused"),
    ("READY", "Ready"),
    ("RUNNING", "Running"),
    ("SUCCESSFUL", "Successful"),
    ("FAILED", "Failed"),
    ("CANCELLED", "Cancelled"),
]


class Migration(migrations.Migration):
    atomic = False  # an index is added to a table in use

    dependencies = [
        ("dbqueue", "0011_unique"),
    ]

    operations = [
        migrations.AlterField(
            model_name="job",
            name="state",
            field=models.CharField(choices=STATES, max_length=10, verbose_name="state"),
        ),
        migrations.AlterField(
            model_name="finishedjob",
            name="state",
            field=models.CharField(choices=STATES, max_length=10, verbose_name="state"),
        ),
        _live.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "PAUSED")),
                fields=["task"],
                name="dbqueue_job_paused",
            ),
        ),
    ]
