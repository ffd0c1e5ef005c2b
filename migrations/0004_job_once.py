"""Chosen ids are marked, and the index of the order by id goes.

Workers of before 0003 read by that index: they are to be replaced first.
"""

from django.db import migrations

from dbqueue.migrations import _live

PART = 500  # rows in one UPDATE: a worker may wait for the locks of one


def mark_chosen_ids(apps, schema_editor):
    # dbqueue's own are of version 7; whoever chose such a one keeps what held before.
    jobs = apps.get_model("dbqueue", "Job").objects.using(
        schema_editor.connection.alias
    )
    unmarked = jobs.filter(once=None).values_list("pk", flat=True)
    chosen = [id for id in unmarked.iterator() if id.version != 7]
    for first in range(0, len(chosen), PART):
        jobs.filter(pk__in=chosen[first : first + PART]).update(once=True)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("dbqueue", "0003_job_order"),
    ]

    operations = [
        migrations.RunPython(mark_chosen_ids, migrations.RunPython.noop),
        _live.RemoveIndex(model_name="job", name="dbqueue_job_ready"),
    ]
