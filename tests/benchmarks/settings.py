"""Settings of one run: PEER and DATABASE_URL choose what is measured."""

import os

import django

from tests.settings import database

PEERS = {
    "dbqueue": ("dbqueue", "dbqueue.backend.DatabaseBackend"),
    "django-tasks-db": ("django_tasks_db", "django_tasks_db.DatabaseBackend"),
}
APP, BACKEND = PEERS[os.environ["PEER"]]

SECRET_KEY = "benchmarks only"
USE_TZ = True
DATABASES = {"default": database(os.environ["DATABASE_URL"])}
INSTALLED_APPS = [APP]
if django.VERSION < (6, 0):
    INSTALLED_APPS.append("django_tasks")
TASKS = {"default": {"BACKEND": BACKEND, "QUEUES": []}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "WARNING", "handlers": []},
    "loggers": {"django.tasks": {"level": "WARNING"}},
}
