"""Limits: their rules, their lanes, and the index of jobs that wait in a lane."""

from django.db import migrations, models

from dbqueue.migrations import _live

# Each gate rewrites its row; room on the page keeps that off the indexes.
TUNE = "ALTER TABLE dbqueue_lane SET (fillfactor = 50)"


def tune_storage(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(TUNE)


class Migration(migrations.Migration):
    atomic = False  # an index is added to a table in use

    dependencies = [
        ("dbqueue", "0005_control"),
    ]

    operations = [
        _live.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "BLOCKED")),
                fields=[
                    "fair_group",
                    "lane",
                    "-priority",
                    "enqueued_at",
                    "id",
                ],
                name="dbqueue_job_blocked",
            ),
        ),
        migrations.CreateModel(
            name="LimitRule",
            fields=[
                (
                    "name",
                    models.CharField(
                        max_length=100,
                        primary_key=True,
                        serialize=False,
                        verbose_name="name",
                    ),
                ),
                (
                    "concurrency",
                    models.IntegerField(null=True, verbose_name="concurrency"),
                ),
                ("rate", models.IntegerField(null=True, verbose_name="rate")),
                ("per", models.FloatField(null=True, verbose_name="per seconds")),
                ("burst", models.IntegerField(null=True, verbose_name="burst")),
                (
                    "is_ordered",
                    models.BooleanField(default=False, verbose_name="ordered"),
                ),
                ("is_fair", models.BooleanField(default=False, verbose_name="fair")),
                (
                    "of_group",
                    models.BooleanField(default=False, verbose_name="of the group"),
                ),
                ("declared_at", models.DateTimeField(verbose_name="declared at")),
                (
                    "set_concurrency",
                    models.IntegerField(null=True, verbose_name="concurrency, set"),
                ),
                ("set_rate", models.IntegerField(null=True, verbose_name="rate, set")),
                (
                    "set_per",
                    models.FloatField(null=True, verbose_name="per seconds, set"),
                ),
                (
                    "set_burst",
                    models.IntegerField(null=True, verbose_name="burst, set"),
                ),
                ("set_at", models.DateTimeField(null=True, verbose_name="set at")),
                (
                    "set_by",
                    models.CharField(default="", max_length=255, verbose_name="set by"),
                ),
            ],
            options={"verbose_name": "limit", "verbose_name_plural": "limits"},
        ),
        migrations.CreateModel(
            name="Lane",
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
                (
                    "limit_name",
                    models.CharField(max_length=100, verbose_name="limit"),
                ),
                ("held", models.TextField(default="", verbose_name="held by")),
                (
                    "spent_until",
                    models.FloatField(null=True, verbose_name="spent until"),
                ),
                (
                    "served",
                    models.CharField(default="", max_length=200, verbose_name="served"),
                ),
                ("turn", models.IntegerField(default=0, verbose_name="turn")),
                ("size", models.IntegerField(default=0, verbose_name="window")),
                ("previous", models.TextField(default="", verbose_name="before")),
                ("used_at", models.FloatField(verbose_name="used at")),
                (
                    "concurrency",
                    models.IntegerField(null=True, verbose_name="concurrency, set"),
                ),
                (
                    "weight",
                    models.IntegerField(null=True, verbose_name="weight, set"),
                ),
            ],
            options={
                "verbose_name": "lane",
                "verbose_name_plural": "lanes",
                "indexes": [
                    models.Index(
                        fields=["limit_name", "key"], name="dbqueue_lane_limit"
                    ),
                ],
            },
        ),
        migrations.RunPython(tune_storage, migrations.RunPython.noop),
    ]
