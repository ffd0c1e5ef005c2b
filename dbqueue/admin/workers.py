"""The list of live workers."""

from django.contrib import admin

from dbqueue.admin.base import ReadOnlyAdmin
from dbqueue.models import Worker


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("name", "host", "pid", "queues", "started_at", "last_seen")
    ordering = ("name", "pid")
