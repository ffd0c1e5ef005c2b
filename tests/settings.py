"""Settings of the test suite: DATABASE_URL chooses the database, SQLite without it."""

import os
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir
from urllib.parse import parse_qs, quote, unquote, urlsplit

import django

BASE = Path(__file__).resolve().parent


def database(url):
    """Return the DATABASES entry for postgres://… or sqlite:////folder/file."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        path = unquote(parts.path[1:])
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": path,
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                # Nothing here has to survive a power cut.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
            },
            # Another process has to find it: not in memory, as Django would have it.
            "TEST": {"NAME": path},
        }
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path[1:]) or "postgres",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parse_qs(parts.query).get("host", [parts.hostname or ""])[0],
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
    }


def url(entry):
    """Return the DATABASE_URL that leads another process to the same database."""
    name = quote(str(entry["NAME"]))
    if entry["ENGINE"].endswith("sqlite3"):
        return f"sqlite:///{name}"
    user, password, host = (
        quote(entry[key], safe="") for key in ("USER", "PASSWORD", "HOST")
    )
    login = f"{user}:{password}@{'' if '%2F' in host else host}"
    port = f":{entry['PORT']}" if entry["PORT"] else ""
    socket = f"?host={host}" if "%2F" in host else ""
    return f"postgresql://{login}{port}/{name}{socket}"


if not os.environ.get("DATABASE_URL"):
    # A file, as processes have to share it; Django removes it after the tests.
    os.environ["DATABASE_URL"] = f"sqlite:///{gettempdir()}/dbqueue-{os.getpid()}.db"
DATABASES = {
    "default": database(os.environ["DATABASE_URL"]),
    # For what happens when models or transactions are not where the jobs are.
    "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
MEDIA_ROOT = f"{gettempdir()}/dbqueue-{os.getpid()}-media"  # tests take others
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "tests only"
USE_TZ = True
TIME_ZONE = "Asia/Kathmandu"  # far from UTC, and not by whole hours
LANGUAGE_CODE = "en"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "dbqueue",
    "tests",
    "tests.gallery",
    "tests.album",
    "tests.compat.alliance_app",
]
if django.VERSION < (6, 0):
    INSTALLED_APPS.append("django_tasks")  # the backport of django.tasks
if find_spec("django_q") is not None:
    INSTALLED_APPS.append("django_q")
    MIGRATION_MODULES = {"django_q": None}  # its tables as they are, at once
Q_CLUSTER = {
    "name": "tests",
    "broker_class": "dbqueue.compat.django_q2.Broker",
    "timeout": 60,
    "retry": 90,
}
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "dbqueue.fields.middleware.UploadFieldsMiddleware",
]
ROOT_URLCONF = "tests.urls"
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
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
TASKS = {"default": {"BACKEND": "dbqueue.backend.DatabaseBackend", "QUEUES": []}}
