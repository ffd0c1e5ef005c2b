"""Who enqueued a job, and in which request."""

import asyncio

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpResponse
from django.test import AsyncClient, override_settings
from django.urls import path

from dbqueue import bind_context, current_context, enqueue
from dbqueue.jobs.enqueue import aenqueue
from dbqueue.middleware import BindRequest
from dbqueue.models import Job
from tests.tasks import noop

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "dbqueue.middleware.BindRequest",
]


def start(request, pk):
    enqueue(noop)
    return HttpResponse("on its way")


async def astart(request, pk):
    await aenqueue(noop)
    return HttpResponse("on its way")


def look(request):
    return HttpResponse(str(sorted(current_context())))


urlpatterns = [
    path("orders/<int:pk>/", start),
    path("aorders/<int:pk>/", astart),
    path("look/", look),
]


@pytest.fixture(autouse=True)
def middleware():
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE):
        yield


def context():
    return Job.objects.get().context


@pytest.mark.django_db
def test_a_job_has_the_user_and_the_route_of_its_request(client):
    user = User.objects.create_user("ada")
    client.force_login(user)

    client.post("/orders/7/", headers={"X-Request-ID": "r-1"})

    assert context() == {
        "request_id": "r-1",
        "request": "POST orders/<int:pk>/",
        "user_id": str(user.pk),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["", "two words", "x" * 129, "\x1b[31m", "é"])
def test_without_a_sound_header_a_request_has_an_id_of_its_own(client, header):
    client.post("/orders/7/", headers={"X-Request-ID": header})

    assert len(context()["request_id"]) == 32
    assert "user_id" not in context()


@pytest.mark.django_db
def test_a_request_without_jobs_asks_nobody_for_its_user(
    client, django_assert_num_queries
):
    client.force_login(User.objects.create_user("ada"))

    with django_assert_num_queries(0):
        assert client.get("/look/").content == b"['request_id']"


@pytest.mark.django_db(transaction=True)
def test_an_async_request_is_bound_as_well():
    user = User.objects.create_user("ada")
    client = AsyncClient()
    client.force_login(user)

    async_to_sync(client.post)("/aorders/7/", headers={"X-Request-ID": "r-2"})

    assert context()["user_id"] == str(user.pk)
    assert context()["request_id"] == "r-2"


def test_requests_of_one_event_loop_do_not_mix():
    async def get_response(request):
        await asyncio.sleep(0.01)
        return current_context()["request_id"]

    async def both(rf):
        bound = BindRequest(get_response)
        requests = [rf.get("/", headers={"X-Request-ID": f"r-{i}"}) for i in range(5)]
        return await asyncio.gather(*map(bound, requests))

    from django.test import RequestFactory

    assert async_to_sync(both)(RequestFactory()) == [f"r-{i}" for i in range(5)]
    assert current_context() == {}


@pytest.mark.django_db
def test_a_site_without_users_has_jobs_without_them(rf):
    request = rf.post("/")
    del_user = BindRequest(lambda request: enqueue(noop))

    del_user(request)
    assert "user_id" not in context()

    Job.objects.all().delete()
    request.user = AnonymousUser()
    del_user(request)
    assert "user_id" not in context()


@pytest.mark.django_db
def test_a_function_is_called_when_a_job_is_enqueued_and_not_before():
    called = []

    with bind_context(lazy=lambda: called.append(1) or len(called), none=lambda: None):
        assert current_context() == {}
        assert not called
        enqueue(noop)

    assert context() == {"lazy": 1}


@pytest.mark.django_db
def test_a_function_whose_value_is_not_json_is_named():
    from dbqueue.exceptions import InvalidPayload

    with (
        bind_context(owner=object),
        pytest.raises(InvalidPayload, match="Context value 'owner' is of type"),
    ):
        enqueue(noop)
