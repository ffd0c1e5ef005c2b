"""The tables of django_celery_beat and django_celery_results, without packages."""

from django.apps.registry import Apps
from django.db import models

# Of their own: nothing of the project's sees them, and no migration.
_apps = Apps()


class _Theirs(models.Model):
    class Meta:
        abstract = True
        managed = False
        apps = _apps
        app_label = "celery"


class Interval(_Theirs):
    every = models.IntegerField()
    period = models.TextField()  # days, hours, minutes, seconds, microseconds

    class Meta(_Theirs.Meta):
        db_table = "django_celery_beat_intervalschedule"


class Crontab(_Theirs):
    minute = models.TextField()
    hour = models.TextField()
    day_of_month = models.TextField()
    month_of_year = models.TextField()
    day_of_week = models.TextField()
    timezone = models.TextField()

    class Meta(_Theirs.Meta):
        db_table = "django_celery_beat_crontabschedule"


class Clocked(_Theirs):
    clocked_time = models.DateTimeField()

    class Meta(_Theirs.Meta):
        db_table = "django_celery_beat_clockedschedule"


class PeriodicTask(_Theirs):
    name = models.TextField()
    task = models.TextField()
    args = models.TextField()
    kwargs = models.TextField()
    queue = models.TextField(null=True)
    exchange = models.TextField(null=True)
    routing_key = models.TextField(null=True)
    headers = models.TextField()
    priority = models.IntegerField(null=True)
    expires = models.DateTimeField(null=True)
    expire_seconds = models.IntegerField(null=True)
    one_off = models.BooleanField()
    start_time = models.DateTimeField(null=True)
    enabled = models.BooleanField()
    last_run_at = models.DateTimeField(null=True)
    total_run_count = models.IntegerField()
    description = models.TextField()
    interval = models.ForeignKey(Interval, models.DO_NOTHING, null=True)
    crontab = models.ForeignKey(Crontab, models.DO_NOTHING, null=True)
    clocked = models.ForeignKey(Clocked, models.DO_NOTHING, null=True)
    solar_id = models.IntegerField(null=True)

    class Meta(_Theirs.Meta):
        db_table = "django_celery_beat_periodictask"


class TaskResult(_Theirs):
    task_id = models.TextField()
    task_name = models.TextField(null=True)
    task_args = models.TextField(null=True)
    task_kwargs = models.TextField(null=True)
    status = models.TextField()
    worker = models.TextField(null=True)
    result = models.TextField(null=True)
    date_created = models.DateTimeField()
    date_done = models.DateTimeField()
    traceback = models.TextField(null=True)

    class Meta(_Theirs.Meta):
        db_table = "django_celery_results_taskresult"
