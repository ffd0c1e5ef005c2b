"""Settings for the tests of django-q2's own wheel, on dbqueue's broker."""

import os

from tests.settings import *  # noqa: F403

default = DATABASES["default"]  # noqa: F405
# Not the one of whoever has started this.
default["TEST"] = {"NAME": f"q2_suite_{os.getpid()}"}
if default["ENGINE"].endswith("sqlite3"):
    default["NAME"] = os.path.join(os.environ["Q2_SUITE_FOLDER"], "suite.db")
    default["TEST"] = {"NAME": default["NAME"]}
TIME_ZONE = "Europe/Amsterdam"  # as theirs
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": os.environ["Q2_SUITE_FOLDER"],
    }
}
Q_CLUSTER = {
    "name": "django_q_test",
    "cpu_affinity": 1,
    "testing": True,
    "log_level": "DEBUG",
    "broker_class": "dbqueue.compat.django_q2.Broker",
}
