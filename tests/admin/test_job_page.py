"""What wings add to the page of a job: log lines, and the upload that it works on."""

import logging

import pytest

from dbqueue import enqueue
from dbqueue.models import Job, Upload
from dbqueue.testing import run_jobs
from dbqueue.uploads import save_image
from tests import tasks
from tests.admin.rows import VIEW, address, client_of
from tests.gallery.models import Profile
from tests.support import logging_tasks
from tests.uploads.test_images import an_image, picture

pytestmark = pytest.mark.django_db


@pytest.fixture
def job():
    """Return the page of a job that has logged something, tried twice."""
    logging_tasks.logger.setLevel(logging.DEBUG)
    result = enqueue(logging_tasks.say, "<b>me</b>", fail=True)
    run_jobs()
    logging_tasks.logger.setLevel(logging.NOTSET)
    return address("finishedjob_change", result.id)


class TestLogLines:
    def test_they_are_on_the_page_by_attempt(self, admin_client, job):
        text = admin_client.get(job).text

        assert text.count("Sent &lt;b&gt;me") == 2
        assert text.index("Attempt 1</li>") < text.index("Attempt 2</li>")

    def test_they_need_the_permission_for_what_jobs_carry(self, job):
        text = client_of(*VIEW).get(job).text

        assert "Log lines" not in text
        assert "Sent" not in text

    def test_a_job_of_another_task_has_none(self, admin_client):
        result = enqueue(tasks.noop)

        text = admin_client.get(address("job_change", result.id)).text

        assert "Log lines" not in text

    def test_a_page_with_them_asks_few_queries(
        self, admin_client, job, django_assert_max_num_queries
    ):
        admin_client.get(job)

        with django_assert_max_num_queries(10):
            admin_client.get(job)


class TestUploads:
    @pytest.fixture(autouse=True)
    def _media(self, settings, tmp_path):
        settings.MEDIA_ROOT = str(tmp_path)

    @pytest.fixture
    def page(self):
        save_image(
            an_image(picture((900, 600)), name="<b>me.jpg"),
            Profile.objects.create(name="Ada"),
        )
        return address("job_change", Job.objects.get().pk)

    def test_the_page_has_a_small_picture_behind_its_permission(self, page):
        client = client_of(*VIEW, "view_job_payload", "view_upload")
        preview = address("upload_preview", Upload.objects.get().pk)

        text = client.get(page).text
        response = client.get(preview)

        assert f'src="{preview}"' in text
        assert "<b>me" not in text
        assert response["Content-Type"] == "image/webp" or "image/" in str(response)
        assert response["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in response["Content-Security-Policy"]
        assert response["Content-Disposition"].startswith("inline")

    @pytest.mark.parametrize("missing", ["view_job_payload", "view_upload"])
    def test_without_a_permission_there_is_none(self, page, missing):
        rights = {"view_job_payload", "view_upload"} - {missing}
        text = client_of(*VIEW, *rights).get(page).text

        assert "upload/" not in text.partition("<article")[2]

    def test_after_its_end_the_upload_is_named_without_a_picture(
        self, admin_client, page
    ):
        run_jobs()

        text = admin_client.get(page, follow=True).text

        assert "/preview/" not in text
        assert address("upload_change", Upload.objects.get().pk) in text

    @pytest.mark.parametrize("args", [[], {}, ["x"], [None], [[1]], "text"])
    def test_damaged_arguments_show_no_upload(self, admin_client, page, args):
        Job.objects.update(args=args)

        assert admin_client.get(page).status_code == 200

    def test_the_page_asks_few_queries(
        self, admin_client, page, django_assert_max_num_queries
    ):
        admin_client.get(page)

        with django_assert_max_num_queries(10):
            admin_client.get(page)
