"""Uploads in the admin: what operators see, may do, and are told."""

import re
from io import BytesIO

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from dbqueue.admin.base import CappedPaginator
from dbqueue.models import FinishedJob, Job, Upload, UploadChunk
from dbqueue.testing import run_jobs
from dbqueue.uploads import endings, save_file, save_image, uploads_for
from tests.gallery.models import Profile
from tests.uploads.rows import an_upload
from tests.uploads.test_images import an_image, picture
from tests.uploads.test_uploads import a_file

pytestmark = pytest.mark.django_db
LIST = "/admin/dbqueue/upload/"
ORDER = 'ORDER BY "dbqueue_upload"."id" DESC'
DEEDS = ("retry", "discard", "download", "preview")


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)


@pytest.fixture
def profile():
    return Profile.objects.create(name="Ada")


@pytest.fixture
def waiting(profile):
    save_image(an_image(picture((900, 600)), name="<b>me.jpg"), profile)
    return Upload.objects.get()


@pytest.fixture
def failed(waiting):
    endings.end(waiting, "FAILED", code="failed", message="It could not be saved.")
    return waiting


@pytest.fixture
def log_in(client):
    """Return a function that logs in somebody of the staff with permissions."""

    def log_in(*permissions):
        user = User.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return log_in


def url(upload, name="change"):
    return reverse(f"admin:dbqueue_upload_{name}", args=[upload.pk])


def told(response):
    return [str(message) for message in response.context["messages"]]


class TestTheList:
    def test_the_list_of_uploads_shows_what_there_is(self, admin_client, waiting):
        text = admin_client.get(LIST).text

        for shown in ("bme.jpg", "Waiting", "gallery.Profile", "KB", "0\xa0minutes"):
            assert shown in text

    def test_the_list_of_uploads_may_show_one_state_only(self, admin_client, profile):
        an_upload(profile, "REJECTED")
        upload = an_upload(profile, "FAILED")

        response = admin_client.get(LIST, {"state": "FAILED"})

        assert list(response.context["cl"].result_list) == [upload]

    def test_the_list_of_uploads_finds_an_upload_by_its_id(self, admin_client, profile):
        upload, _ = an_upload(profile, "DONE"), an_upload(profile, "DONE")

        for text, found in ((str(upload.pk), [upload]), ("abc", [])):
            response = admin_client.get(LIST, {"q": text})
            assert list(response.context["cl"].result_list) == found

    def test_the_list_of_uploads_asks_as_many_queries_for_many_as_for_few(
        self, admin_client, profile
    ):
        def queries():
            with CaptureQueriesContext(connection) as captured:
                assert admin_client.get(LIST, {"o": "1.-2"}).status_code == 200
            return [query["sql"] for query in captured]

        an_upload(profile, "DONE")
        few = len(queries())
        for _ in range(60):
            an_upload(profile, "DONE")

        many = queries()
        assert len(many) == few
        for sql in many:
            if '"dbqueue_upload"' in sql:
                assert "COUNT(" not in sql or re.search(r"LIMIT \d+\) ", sql)
                assert (
                    "ORDER BY" not in sql or 'ORDER BY "dbqueue_upload"."id" D' in sql
                )
                assert '"policy"' not in sql

    def test_the_list_of_uploads_stops_counting_at_a_cap(
        self, admin_client, profile, monkeypatch
    ):
        monkeypatch.setattr(CappedPaginator, "cap", 60)
        for _ in range(70):
            an_upload(profile, "DONE")

        assert "60+" in admin_client.get(LIST).text


class TestThePageOfAnUpload:
    def test_the_page_of_an_upload_shows_it_without_its_bytes(
        self, admin_client, waiting, profile
    ):
        text = admin_client.get(url(waiting)).text

        assert f'<img src="{url(waiting, "preview")}"' in text
        assert f'href="/admin/dbqueue/job/{waiting.job_id}/change/"' in text
        assert 'name="_save"' not in text
        assert "<b>" not in text

    def test_the_page_of_an_upload_links_to_the_job_when_it_has_finished(
        self, admin_client, waiting
    ):
        run_jobs()

        text = admin_client.get(url(waiting)).text

        job = FinishedJob.objects.get()
        assert f'href="/admin/dbqueue/finishedjob/{job.pk}/change/"' in text
        assert "<img" not in text

    def test_the_page_of_an_upload_shows_an_upload_of_a_model_that_is_gone(
        self, admin_client, profile
    ):
        upload = an_upload(profile, "DONE", model="gone.Model")

        assert admin_client.get(url(upload)).status_code == 200

    @pytest.mark.parametrize(
        ("state", "buttons"),
        [
            ("STORED", ["Download", "Discard"]),
            ("FAILED", ["Retry", "Download", "Discard"]),
            ("RECEIVING", ["Discard"]),
            ("DONE", []),
            ("REJECTED", []),
        ],
    )
    def test_the_page_of_an_upload_offers_what_can_be_done(
        self, admin_client, profile, state, buttons
    ):
        upload = an_upload(profile, state)

        row = admin_client.get(url(upload)).text.partition('class="submit-row"')[2]

        assert [name for name in ("Retry", "Download", "Discard") if name in row] == (
            buttons
        )

    def test_the_page_of_an_upload_changes_nothing_by_itself(
        self, admin_client, waiting
    ):
        assert admin_client.post(url(waiting), {"state": "DONE"}).status_code == 403
        assert Upload.objects.get().state == "STORED"


class TestTheButtons:
    def test_the_buttons_of_an_upload_retry_a_failed_upload(
        self, admin_client, failed, profile
    ):
        response = admin_client.post(url(failed, "retry"), follow=True)

        assert told(response) == ["1 upload is being retried."]
        run_jobs()
        profile.refresh_from_db()
        assert profile.photo

    def test_the_buttons_of_an_upload_discard_what_waits(self, admin_client, waiting):
        response = admin_client.post(url(waiting, "discard"), follow=True)

        assert told(response) == ["1 upload was discarded."]
        assert Upload.objects.get().state == "CANCELLED"
        assert not UploadChunk.objects.exists()

    def test_the_buttons_of_an_upload_leave_what_is_in_another_state_and_say_so(
        self, admin_client, waiting
    ):
        response = admin_client.post(url(waiting, "retry"), follow=True)

        assert told(response) == [
            "1 upload was left: it is in another state, or a newer one is pending."
        ]

    def test_the_buttons_of_an_upload_leave_a_failed_upload_while_a_newer_one_waits(
        self, admin_client, failed, profile
    ):
        an_upload(profile, "STORED")

        response = admin_client.post(url(failed, "retry"), follow=True)

        assert "a newer one is pending" in told(response)[0]
        assert not Job.objects.filter(state="READY").exclude(pk=failed.job_id).exists()

    @pytest.mark.parametrize("deed", ["retry", "discard"])
    def test_the_buttons_of_an_upload_do_nothing_by_get(
        self, admin_client, failed, deed
    ):
        assert admin_client.get(url(failed, deed)).status_code == 405
        assert Upload.objects.get().state == "FAILED"

    def test_the_buttons_of_an_upload_write_down_who_did_what(
        self, admin_client, failed
    ):
        admin_client.get(url(failed, "download"))
        admin_client.post(url(failed, "retry"))
        admin_client.post(url(failed, "discard"))

        log = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
        assert list(log) == ["Downloaded.", "Retried.", "Discarded."]


class TestTheActions:
    def test_the_actions_on_uploads_are_done_to_all_that_were_chosen(
        self, admin_client
    ):
        for _ in range(3):
            profile = Profile.objects.create()
            save_file(a_file(), profile)
            endings.end(Upload.objects.latest("pk"), "FAILED", code="failed")
        done = an_upload(profile, "DONE")
        chosen = list(Upload.objects.values_list("pk", flat=True))

        response = admin_client.post(
            LIST, {"action": "retry", "_selected_action": chosen}, follow=True
        )

        assert told(response)[0] == "3 uploads are being retried."
        assert "1 upload was left" in told(response)[1]
        assert Upload.objects.filter(state="STORED").count() == 3
        assert Upload.objects.get(pk=done.pk).state == "DONE"

    def test_the_actions_on_uploads_are_retry_and_discard(self, admin_client, failed):
        text = admin_client.get(LIST).text

        assert re.findall(r'<option value="(\w+)"', text) == ["retry", "discard"]


class TestTheDownload:
    def test_the_download_of_an_upload_is_a_file_to_save_whatever_it_is(
        self, admin_client, profile
    ):
        page = b"<html><script>alert(1)</script></html>"
        save_file(a_file(page, name='a"b\u202e.html'), profile)

        response = admin_client.get(url(Upload.objects.get(), "download"))

        assert response.streaming
        assert b"".join(response) == page
        assert response["Content-Type"] == "application/octet-stream"
        assert response["Content-Disposition"].startswith("attachment; filename=")
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert response["Content-Length"] == str(len(page))

    def test_the_download_of_an_upload_is_streamed_over_asgi_too(
        self, transactional_db, admin_user
    ):
        content = bytes(range(256)) * 2048
        save_file(a_file(content), Profile.objects.create())
        address = url(Upload.objects.get(), "download")
        client = AsyncClient()
        client.force_login(admin_user)

        async def receive():
            response = await client.get(address)
            return [piece async for piece in response]

        received = async_to_sync(receive)()

        assert b"".join(received) == content
        assert len(received) == 2

    def test_the_download_of_an_upload_is_not_there_when_the_bytes_are_gone(
        self, admin_client, profile
    ):
        upload = an_upload(profile, "REJECTED")

        assert admin_client.get(url(upload, "download")).status_code == 404


class TestThePreview:
    def test_the_preview_of_an_upload_is_a_small_re_encoded_picture(
        self, admin_client, profile
    ):
        content = picture((1600, 800), comment=b"<script>")
        save_image(an_image(content), profile)

        response = admin_client.get(url(Upload.objects.get(), "preview"))

        assert Image.open(BytesIO(response.content)).size == (512, 256)
        assert b"<script>" not in response.content
        assert response["Content-Type"] == "image/jpeg"
        assert response["Cache-Control"].startswith("private, no-store")
        assert response["X-Content-Type-Options"] == "nosniff"

    def test_the_preview_of_an_upload_is_not_there_for_what_cannot_be_decoded(
        self, admin_client, profile
    ):
        save_image(an_image(picture((500, 500))[:2000]), profile)

        assert admin_client.get(url(Upload.objects.get(), "preview")).status_code == 404


class TestWhoMay:
    @pytest.mark.parametrize("deed", DEEDS)
    def test_nobody_without_a_permission_may_do_anything_to_an_upload(
        self, log_in, failed, deed
    ):
        client = log_in()

        assert client.post(url(failed, deed)).status_code == 403

    @pytest.mark.parametrize("deed", ["retry", "discard", "download"])
    def test_who_may_only_look_at_uploads_may_see_a_preview_and_no_more(
        self, log_in, failed, deed
    ):
        client = log_in("view_upload")

        assert client.post(url(failed, deed)).status_code == 403
        assert client.get(url(failed, "preview")).status_code == 200
        page = client.get(url(failed))
        assert page.status_code == 200
        assert "Retry" not in page.text
        assert 'value="retry"' not in client.get(LIST).text

    def test_who_may_change_uploads_may_download_and_retry_them(self, log_in, failed):
        client = log_in("change_upload")

        assert client.get(url(failed, "download")).status_code == 200
        assert told(client.post(url(failed, "retry"), follow=True))
        assert uploads_for(Profile.objects.get())[0].state == "STORED"

    @pytest.mark.parametrize("deed", DEEDS)
    def test_a_stranger_to_the_uploads_has_to_log_in(self, client, failed, deed):
        response = client.post(url(failed, deed))

        assert response.status_code == 302
        assert "/login/" in response["Location"]
