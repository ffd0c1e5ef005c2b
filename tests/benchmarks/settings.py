"""Settings of the peers that need Django: PEER and DATABASE_URL choose."""

import os

import django

from tests.benchmarks import trees
from tests.benchmarks.peers import PEERS
from tests.settings import database

trees.verify()
SECRET_KEY = "benchmarks only"
USE_TZ = True
PEER = PEERS[os.environ["PEER"]]
DATABASES = {"default": database(os.environ["DATABASE_URL"])}
DATABASES["default"].setdefault("OPTIONS", {}).update(PEER.options)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# What `startproject` installs, and the peer.
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
if django.VERSION < (6, 0):
    INSTALLED_APPS.append("django_tasks")  # the backport of django.tasks
STATIC_URL = "static/"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "WARNING", "handlers": []},
    "loggers": {name: {"level": "WARNING"} for name in ("django.tasks", "django-q")},
}
for name, value in PEER.settings.items():
    globals()[name] = value if name != "INSTALLED_APPS" else INSTALLED_APPS + value
