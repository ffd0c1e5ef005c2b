"""Settings of the example: the environment chooses the database and the mail server."""

import os
from pathlib import Path

import django

from environment import database, smtp, sqlite

BASE = Path(__file__).resolve().parent
# Everything the example writes.
VAR = Path(os.environ.get("EXAMPLE_VAR") or BASE / "var").absolute()
VAR.mkdir(parents=True, exist_ok=True)

DEBUG = os.environ.get("DJANGO_DEBUG", "1") != "0"
SECRET_KEY = os.environ.get("SECRET_KEY", "known to everybody: for the example only")
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "127.0.0.1,localhost").split(",")

INSTALLED_APPS = [
    "people",
    "films",
    "walkthrough",
    "dbqueue",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
if django.VERSION < (6, 0):
    INSTALLED_APPS.append("django_tasks")  # the backport of django.tasks

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "dbqueue.middleware.BindRequest",
    "dbqueue.fields.middleware.UploadFieldsMiddleware",
    "people.middleware.content_security_policy",
]
ROOT_URLCONF = "urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = VAR / "media"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# What a job makes for a visitor is nowhere below MEDIA_URL: its link is a secret.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "results": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": VAR / "results"},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
DBQUEUE = {"PROGRESS": {"STORAGE": "results"}}

TASKS = {
    "default": {
        "BACKEND": "dbqueue.backend.DatabaseBackend",
        "QUEUES": ["default", "mail", "uploads"],
    }
}

if os.environ.get("DATABASE_URL"):
    DATABASES = {"default": database(os.environ["DATABASE_URL"])}
else:
    DATABASES = {"default": sqlite(VAR / "db.sqlite3")}
# A profile and the job that mails it are written together, or not at all.
DATABASES["default"]["ATOMIC_REQUESTS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DEFAULT_FROM_EMAIL = "About me <about-me@example.com>"
PDF_FOLDER = VAR / "pdf"
# Megabytes of the film that the walkthrough sends.
FILM_SIZE = int(os.environ.get("EXAMPLE_FILM_SIZE") or 200)
if os.environ.get("EMAIL_URL"):
    mail_backend = "django.core.mail.backends.smtp.EmailBackend"
    mail_options = smtp(os.environ["EMAIL_URL"])
    MAIL_FOLDER = None
else:
    mail_backend = "people.mail.FolderBackend"
    MAIL_FOLDER = VAR / "mail"
    mail_options = {"file_path": MAIL_FOLDER}
# Django 6.1 has one dict for mail and warns of the settings that came before it.
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": mail_backend, "OPTIONS": mail_options}}
else:
    EMAIL_BACKEND = mail_backend
    EMAIL_FILE_PATH = mail_options.get("file_path")
    EMAIL_HOST = mail_options.get("host")
    EMAIL_PORT = mail_options.get("port")
    EMAIL_HOST_USER = mail_options.get("username")
    EMAIL_HOST_PASSWORD = mail_options.get("password")
    EMAIL_USE_TLS = mail_options.get("use_tls")
    EMAIL_USE_SSL = mail_options.get("use_ssl")
    EMAIL_TIMEOUT = mail_options.get("timeout")
