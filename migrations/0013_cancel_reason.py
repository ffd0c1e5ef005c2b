"""Who asked a running job to stop, and why."""

from django.db import migrations, models

from dbqueue.migrations import _live


class Migration(migrations.Migration):
    atomic = False  # columns are added to a table in use

    dependencies = [
        ("dbqueue", "0012_paused"),
    ]

    operations = [
        _live.AddField(
            model_name="job",
            name="cancelled_by",
            field=models.CharField(
                max_length=255, null=True, verbose_name="cancelled by"
            ),
        ),
        _live.AddField(
            model_name="job",
            name="cancel_reason",
            field=models.TextField(null=True, verbose_name="reason of the cancel"),
        ),
    ]
