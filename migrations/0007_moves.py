"""Who waits for the end of a job says so; failed jobs are found by exception."""

import json
from contextlib import suppress

from django.db import migrations, models
from django.db.models.functions import Cast

from dbqueue.migrations import _live

PART = 500  # rows that are read, and written, at a time


def name_exceptions(apps, schema_editor):
    # What old workers have written names it in the log of the attempts alone.
    alias = schema_editor.connection.alias
    rows = apps.get_model("dbqueue", "FinishedJob").objects.using(alias)
    failed = rows.filter(state="FAILED", exception=None).order_by("pk")
    # As text: what was damaged by hand cannot be read as JSON.
    logs = failed.values_list("pk", Cast("attempt_log", models.TextField()))
    found = list(logs[:PART])
    while found:
        ids_by_path = {}
        for id, log in found:
            ids_by_path.setdefault(_named(log), []).append(id)
        ids_by_path.pop(None, None)
        for path, ids in ids_by_path.items():
            rows.filter(pk__in=ids).update(exception=path)
        found = list(logs.filter(pk__gt=found[-1][0])[:PART])


def _named(log):
    """Return the class by which the last attempt failed, as its column holds it."""
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        return json.loads(log)[-1]["exception"][:255]


class Migration(migrations.Migration):
    atomic = False  # tables are in use

    dependencies = [
        ("dbqueue", "0006_limits"),
    ]

    operations = [
        _live.AddField(
            model_name="job",
            name="is_awaited",
            field=models.BooleanField(null=True, verbose_name="awaited"),
        ),
        migrations.RunPython(name_exceptions, migrations.RunPython.noop),
        _live.AddIndex(
            model_name="finishedjob",
            index=models.Index(
                condition=models.Q(("exception__isnull", False)),
                fields=["exception", "id"],
                name="dbqueue_finishedjob_exception",
            ),
        ),
    ]
