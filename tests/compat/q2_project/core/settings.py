"""A small project of django-q2's; BROKER says whether its cluster is on dbqueue."""

import os
from pathlib import Path

import django

from tests.settings import database

VAR = Path(os.environ["PROJECT_VAR"])
SECRET_KEY = "tests only"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": database(f"sqlite:///{VAR}/project.db")}
INSTALLED_APPS = ["django.contrib.contenttypes", "django_q", "dbqueue", "main"]
if django.VERSION < (6, 0):
    INSTALLED_APPS.append("django_tasks")
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
Q_CLUSTER = {
    "name": "letters",
    "orm": "default",
    "workers": 2,
    "timeout": 30,
    "retry": 60,
}
if os.environ["BROKER"] == "dbqueue":
    Q_CLUSTER["broker_class"] = "dbqueue.compat.django_q2.Broker"
