"""A small site with the admin; whoever has its key is the operator."""

import os
import socket

OVERVIEW, TOKENS = "/admin/dbqueue/", "/tokens/"
SETTINGS = {
    "INSTALLED_APPS": ["django.contrib.admin", "dbqueue"],
    "ALLOWED_HOSTS": ["127.0.0.1"],
    "SESSION_ENGINE": "django.contrib.sessions.backends.db",
    "ROOT_URLCONF": "tests.benchmarks.site",
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "tests.benchmarks.site.log_in",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "TEMPLATES": [
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
    ],
}


def log_in(get_response):
    """Give who has the key a session of the operator, as a login would, once."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore

    known = []

    def session_of_the_operator():
        user = User.objects.create_superuser("operator", "o@example.com", "x")
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        return session.session_key

    def middleware(request):
        if request.headers.get("X-Benchmark-Key") == os.environ["BENCHMARK_KEY"]:
            if not known:
                known.append(session_of_the_operator())
            request.session = SessionStore(known[0])
        return get_response(request)

    return middleware


def tokens(request):
    """Return tokens of so many jobs that wait, somewhere in the line."""
    from django.http import HttpResponse

    from dbqueue.models import Job
    from dbqueue.progress.seeing.tokens import SCOPES, Ticket, sign

    count = int(request.GET["n"])
    waiting = Job.objects.filter(state="READY").order_by("-id")
    ids = list(waiting.values_list("pk", flat=True)[: count * 100 : 100])
    return HttpResponse("\n".join(sign(Ticket(id, "default", SCOPES)) for id in ids))


def __getattr__(name):
    """Make the URLs when Django asks for them: then its apps are there."""
    if name != "urlpatterns":
        raise AttributeError(name)
    from django.contrib import admin
    from django.urls import include, path

    return [
        path("admin/", admin.site.urls),
        path("jobs/", include("dbqueue.progress.urls")),
        path("tokens/", tokens),
    ]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
