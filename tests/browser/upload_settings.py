"""Settings of a small site with upload fields, for a browser."""

import os

from tests.settings import *  # noqa: F403

DEBUG = True  # so that static files are served
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    *INSTALLED_APPS,  # noqa: F405
    "django.contrib.staticfiles",
    "tests.browser.albums",
]
STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = os.environ["SITE_FILES"]
ROOT_URLCONF = "tests.browser.upload_site"
MIDDLEWARE = [
    *MIDDLEWARE,  # noqa: F405
    "django.middleware.csrf.CsrfViewMiddleware",
    "tests.browser.progress_site.content_security_policy",
    "dbqueue.fields.middleware.UploadFieldsMiddleware",
]
DBQUEUE = {"LEASE": 20.0, "FIELDS": {"PER_MINUTE": None}}
