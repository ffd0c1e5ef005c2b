"""Settings of a small site with jobs, for a browser."""

import os

from tests.settings import *  # noqa: F403

DEBUG = True  # so that static files are served
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.staticfiles"]  # noqa: F405
for app in ("tests.album", "tests.compat.alliance_app"):
    INSTALLED_APPS.remove(app)  # their fields ask for addresses of their own
STATIC_URL = "static/"
ROOT_URLCONF = "tests.browser.progress_site"
MIDDLEWARE = [
    *MIDDLEWARE,  # noqa: F405
    "django.middleware.csrf.CsrfViewMiddleware",
    "tests.browser.progress_site.content_security_policy",
]
FILES = "django.core.files.storage.FileSystemStorage"
STORAGES = {
    "default": {"BACKEND": FILES},
    "results": {"BACKEND": FILES, "OPTIONS": {"location": os.environ["SITE_FILES"]}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
DBQUEUE = {"LEASE": 20.0, "PROGRESS": {"STORAGE": "results"}}
