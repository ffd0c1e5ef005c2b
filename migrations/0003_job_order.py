"""The order of ready jobs by the database's clock, and what is asked of chosen ids."""

from django.db import migrations, models

from dbqueue.migrations import _live


class Migration(migrations.Migration):
    atomic = False  # an index is added to a table in use

    dependencies = [
        ("dbqueue", "0002_uploads"),
    ]

    operations = [
        _live.AddField(
            model_name="job",
            name="once",
            field=models.BooleanField(null=True, verbose_name="once"),
        ),
        _live.AddField(
            model_name="worker",
            name="unknown_tasks",
            field=models.JSONField(null=True, verbose_name="unknown tasks"),
        ),
        _live.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "READY")),
                fields=["queue_name", "-priority", "enqueued_at", "id"],
                name="dbqueue_job_order",
            ),
        ),
    ]
