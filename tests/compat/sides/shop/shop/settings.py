"""A project that was made for Celery; dbqueue stands beside it."""

import os

import django

SECRET_KEY = "tests only"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "dbqueue"]
if django.VERSION < (6, 0):
    INSTALLED_APPS.append("django_tasks")
INSTALLED_APPS.append("orders")
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{os.environ['PROJECT_VAR']}/db.sqlite3",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
TASKS = {
    "default": {
        "BACKEND": "dbqueue.backend.DatabaseBackend",
        "QUEUES": ["default", "celery"],
    }
}
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.01}
CELERY_RESULT_BACKEND = "cache+memory://"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_STORE_EAGER_RESULT = True
CELERY_TASK_ROUTES = {"orders.tasks.routed": {"queue": "celery", "priority": 3}}
