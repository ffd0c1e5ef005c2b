"""Settings of that project, as its package's documentation has them."""

import json
import os
from pathlib import Path

BASE = Path(__file__).parent
SECRET_KEY = "not one"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "urls"
MEDIA_ROOT = BASE / "media"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": json.loads(os.environ["CLINIC_DATABASE"])}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "alliance_platform.storage",
    "clinic",
]
MIDDLEWARE = [
    "allianceutils.middleware.CurrentRequestMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
    }
]
ALLIANCE_PLATFORM = {"STORAGE": {"UPLOAD_URL_EXPIRY": 600}}
_FILES = "alliance_platform.storage.async_uploads.storage.filesystem"
STORAGES = {
    "default": {"BACKEND": f"{_FILES}.FileSystemAsyncUploadStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
