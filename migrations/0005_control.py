"""What limits, uniqueness, deadlines, cancelling, retries and pauses keep."""

from django.db import migrations, models

from dbqueue.migrations import _live

STATES = [
    ("SCHEDULED", "Scheduled"),
    ("BLOCKED", "Blocked"),
    ("READY", "Ready"),
    ("RUNNING", "Running"),
    ("SUCCESSFUL", "Successful"),
    ("FAILED", "Failed"),
    ("CANCELLED", "Cancelled"),
]


class Migration(migrations.Migration):
    atomic = False  # columns are added to tables in use

    dependencies = [
        ("dbqueue", "0004_job_once"),
    ]

    operations = [
        _live.AddField(
            model_name="job",
            name="lane",
            field=models.CharField(max_length=200, null=True, verbose_name="lane"),
        ),
        _live.AddField(
            model_name="job",
            name="fair_group",
            field=models.CharField(
                max_length=200, null=True, verbose_name="fair group"
            ),
        ),
        _live.AddField(
            model_name="job",
            name="retry_of",
            field=models.UUIDField(null=True, verbose_name="retry of"),
        ),
        _live.AddField(
            model_name="finishedjob",
            name="lane",
            field=models.CharField(max_length=200, null=True, verbose_name="lane"),
        ),
        _live.AddField(
            model_name="finishedjob",
            name="fair_group",
            field=models.CharField(
                max_length=200, null=True, verbose_name="fair group"
            ),
        ),
        _live.AddField(
            model_name="finishedjob",
            name="retry_of",
            field=models.UUIDField(null=True, verbose_name="retry of"),
        ),
        _live.AddField(
            model_name="job",
            name="unique_key",
            field=models.CharField(
                max_length=200, null=True, verbose_name="unique key"
            ),
        ),
        _live.AddField(
            model_name="job",
            name="unique_until",
            field=models.CharField(
                choices=[("F", "Finished"), ("S", "Started")],
                max_length=1,
                null=True,
                verbose_name="unique until",
            ),
        ),
        _live.AddField(
            model_name="job",
            name="expires_at",
            field=models.DateTimeField(null=True, verbose_name="expires at"),
        ),
        _live.AddField(
            model_name="job",
            name="cancelled_at",
            field=models.DateTimeField(null=True, verbose_name="asked to stop at"),
        ),
        _live.AddField(
            model_name="finishedjob",
            name="exception",
            field=models.CharField(max_length=255, null=True, verbose_name="exception"),
        ),
        _live.AddField(
            model_name="finishedjob",
            name="keep_until",
            field=models.DateTimeField(null=True, verbose_name="keep until"),
        ),
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
        migrations.CreateModel(
            name="Pause",
            fields=[
                (
                    "key",
                    models.CharField(
                        max_length=310,
                        primary_key=True,
                        serialize=False,
                        verbose_name="paused",
                    ),
                ),
                ("paused_at", models.DateTimeField(verbose_name="paused at")),
                (
                    "paused_by",
                    models.CharField(
                        default="", max_length=255, verbose_name="paused by"
                    ),
                ),
                ("reason", models.TextField(default="", verbose_name="reason")),
            ],
            options={"verbose_name": "pause", "verbose_name_plural": "pauses"},
        ),
    ]
