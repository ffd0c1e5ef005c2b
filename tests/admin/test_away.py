"""A database that is away: every page says so calmly, in any project."""

from itertools import product

import pytest
from django.core import signing
from django.db import connection
from django.urls import reverse

from dbqueue.progress import urls as progress
from tests import tasks
from tests.admin import addresses

pytestmark = pytest.mark.django_db(transaction=True)
NOBODY = "0193a0c0-0000-7000-8000-000000000001"
ROWS = dict.fromkeys(("job", "finishedjob", "worker", "schedule", "upload"), NOBODY)
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"


@pytest.fixture
def away():
    """Return a function after which nobody finds the database, until the test ends."""
    known = dict(connection.settings_dict)
    place = "NAME" if connection.vendor == "sqlite" else "HOST"

    def leave():
        connection.close()
        connection.settings_dict[place] = "/nowhere/at/all"

    yield leave
    connection.close()
    connection.settings_dict.update(known)


@pytest.fixture(params=[False, True], ids=["plain", "atomic"])
def project(request):
    """Be a project as Django makes it, and one with a transaction for each request."""
    connection.settings_dict["ATOMIC_REQUESTS"] = request.param
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


def pages_of_progress(result):
    """Return the addresses of all that whoever waits may ask for, by their names."""
    token = result.public_token("status", "result", "cancel")
    parts = ["gallery.profile", "default", "1", "photo", {}]
    picture = signing.dumps(parts, salt="dbqueue.progress.picture", compress=True)
    given = {"key": token, "name": "a.pdf", "token": picture}
    return {
        pattern.name: reverse(
            f"dbqueue_progress:{pattern.name}",
            kwargs={name: given[name] for name in pattern.pattern.converters},
        )
        for pattern in progress.urlpatterns
    }


def test_every_page_of_the_admin_is_calm(admin_client, away, project):
    pages = addresses.every(ROWS)
    away()

    for (name, address), live in product(pages.items(), (False, True)):
        headers = {"X-Dbqueue-Live": "x"} if live else {}
        response = admin_client.get(address, headers=headers)
        assert response.status_code == 503, name
        assert "The database does not answer" in response.text, name
        assert response["Retry-After"] == "5"
        assert admin_client.post(address).status_code == 503, name


def test_the_pages_are_there_again_when_the_database_is(admin_client, project):
    for name in ("overview", "job_changelist", "schedule_changelist"):
        assert admin_client.get(addresses.every(ROWS)[name]).status_code == 200


def test_all_that_somebody_who_waits_asks_for_is_calm(client, away, project):
    pages = pages_of_progress(tasks.noop.enqueue())
    away()

    for name, address in pages.items():
        answer = (client.post if name == "cancel" else client.get)(address)
        expected = 406 if name == "events" else 503  # which are for ASGI
        assert answer.status_code == expected, name
        if expected == 503:
            assert answer["Retry-After"] == "5"


def test_whoever_has_a_token_needs_no_login(client, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]
    pages = pages_of_progress(tasks.noop.enqueue())

    answers = {
        name: client.get(pages[name]).status_code for name in ("status", "page", "bar")
    }

    assert set(answers.values()) == {200}, answers
