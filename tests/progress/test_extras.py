"""Progress in Django REST framework and in Django Ninja, and without them."""

import subprocess
import sys

import pytest
from django.test import override_settings
from django.urls import include, path

from dbqueue.exceptions import MissingExtra
from dbqueue.models import Job
from dbqueue.testing import run_jobs
from tests.progress import tasks
from tests.tasks import noop

pytestmark = pytest.mark.django_db
urlpatterns = [path("jobs/", include("dbqueue.progress.urls"))]


@pytest.mark.parametrize(
    ("module", "package"), [("drf", "rest_framework"), ("ninja", "ninja")]
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    module, package, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"dbqueue.progress.{module}", raising=False)

    with pytest.raises(MissingExtra, match=rf"'dbqueue-django\[{module}\]'"):
        __import__(f"dbqueue.progress.{module}")


def test_nothing_else_imports_them():
    code = (
        "import django; django.setup(); import dbqueue.progress.urls, sys; "
        "assert not {'rest_framework', 'ninja'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert not done.returncode, done.stderr


class TestRestFramework:
    @pytest.fixture
    def drf(self):
        pytest.importorskip("rest_framework")
        from dbqueue.progress import drf

        return drf

    @pytest.fixture
    def api(self, drf, client):
        view = drf.JobStatusView.as_view()
        urlpatterns[1:] = [path("api/<str:key>/", view)]
        with override_settings(ROOT_URLCONF=__name__):
            yield client
        del urlpatterns[1:]

    def test_the_view_answers_as_the_json_does(self, api):
        result = tasks.attach.enqueue("a.txt", "hello")
        token = result.public_token()
        assert api.get(f"/api/{token}/")["Retry-After"] == "2"
        run_jobs()

        answer, plain = api.get(f"/api/{token}/"), api.get(f"/jobs/{token}/status.json")

        assert answer.json() | {"files": []} == plain.json() | {"files": []}
        assert answer.json()["files"][0]["name"] == "a.txt"
        assert answer["Cache-Control"] == "private, no-store"
        assert api.get("/api/nonsense/").status_code == 404

    def test_an_answer_of_202_and_a_serializer_take_a_result(self, drf, rf):
        result = noop.enqueue()

        answer = drf.AcceptedResponse(rf.post("/"), result, "status", "cancel")

        assert answer.status_code == 202
        assert answer["Location"].startswith("http://testserver/jobs/")
        assert answer.data["cancel_url"]
        assert drf.JobStatusSerializer(result).data["status"] == "waiting"


class TestNinja:
    @pytest.fixture
    def ninja(self):
        pytest.importorskip("ninja")
        from dbqueue.progress import ninja

        return ninja

    @pytest.fixture
    def api(self, ninja, client, monkeypatch):
        from ninja import NinjaAPI

        monkeypatch.setenv("NINJA_SKIP_REGISTRY", "1")
        made = NinjaAPI()
        made.add_router("/jobs/", ninja.router)
        urlpatterns[1:] = [path("api/", made.urls)]
        with override_settings(ROOT_URLCONF=__name__):
            yield client
        del urlpatterns[1:]

    def test_the_route_answers_as_the_json_does(self, api, ninja):
        token = noop.enqueue().public_token()

        answer, plain = (
            api.get(f"/api/jobs/{token}/"),
            api.get(f"/jobs/{token}/status.json"),
        )

        assert answer.json() == plain.json()
        assert answer["Retry-After"] == "2"
        assert api.get("/api/jobs/nonsense/").status_code == 404

    def test_a_schema_takes_a_result(self, ninja):
        out = ninja.JobStatusOut.of(noop.enqueue(), "status", "cancel")

        assert out.status == "waiting"
        assert out.cancel_url
        Job.objects.all().delete()
