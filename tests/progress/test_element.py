"""The element on a page, and pictures that come by themselves."""

import re
from html.parser import HTMLParser

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.template import Context, RequestContext, Template
from django.test import AsyncRequestFactory, override_settings

from dbqueue.ids import uuid7
from dbqueue.models import Job, Upload
from dbqueue.testing import run_jobs
from tests.gallery.models import Profile
from tests.progress import tasks
from tests.tasks import noop
from tests.uploads.rows import an_upload

pytestmark = pytest.mark.django_db


def shown(options, request=None, **context):
    text = f"{{% load dbqueue_progress dbqueue_uploads %}}{{% {options} %}}"
    made = RequestContext(request, context) if request else Context(context)
    return Template(text).render(made)


def attribute(text, name):
    return re.search(rf'\b{name}="([^"]*)"', text)[1]


class Balance(HTMLParser):
    """Counts tags that are open."""

    VOID = ("input", "img", "meta", "link", "br")

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_element_has_the_state_as_it_is_now(client):
    text = shown('job_progress job label="Your report"', job=noop.enqueue())

    assert '<span data-part="text" role="status">Waiting: next in line.</span>' in text
    assert 'aria-label="Your report"' in text
    assert '<noscript><a href="/jobs/' in text
    assert "<form" not in text
    assert " events=" not in text
    assert Balance(text).open == []
    assert client.get(attribute(text, "src")).json()["status"] == "waiting"


def test_a_button_cancels(client, rf):
    request = rf.get("/report/")
    text = shown("job_progress job cancel=True", request, job=noop.enqueue())

    answer = client.post(attribute(text, "action"), {"next": attribute(text, "value")})

    assert 'name="next" value="/report/"' in text
    assert answer.status_code in (200, 303)
    assert not Job.objects.exists()


def test_an_id_is_as_good_as_a_result(client):
    result = noop.enqueue()

    for job in (result.id, result):
        text = shown("job_progress job", job=job)
        assert client.get(attribute(text, "src")).status_code == 200


def test_what_is_neither_is_named():
    with pytest.raises(TypeError, match="'nonsense' is neither the result of a job"):
        shown("job_progress 'nonsense'")


def test_a_job_that_is_no_longer_on_record_breaks_no_page():
    assert "<job-progress" in shown("job_progress job", job=str(uuid7()))


def test_options_become_attributes():
    text = shown(
        'job_progress job redirect="/done/" reload=True class="wide" id="bar"',
        job=noop.enqueue(),
    )

    assert 'redirect="/done/"' in text
    assert re.search(r"<job-progress [^>]* reload[ >]", text)
    assert 'class="wide"' in text
    assert 'id="bar"' in text


def test_under_asgi_the_element_is_told_of_events():
    request = AsyncRequestFactory().get("/report/")

    text = shown("job_progress job", request, job=noop.enqueue())

    assert attribute(text, "events").endswith("/events/")


def test_a_nonce_is_handed_on():
    text = shown("job_progress job", job=noop.enqueue(), csp_nonce="n0nce")

    assert 'nonce="n0nce"' in text


def test_a_job_that_has_ended_shows_its_file_and_asks_no_more():
    result = tasks.attach.enqueue("report.txt", "hello")
    run_jobs()

    text = shown("job_progress job", job=result)

    assert re.search(
        r'<a href="/jobs/\S+/files/report.txt" download>report.txt</a>', text
    )
    assert "noscript" not in text
    assert 'data-status="succeeded"' in text
    assert Balance(text).open == []


def test_htmx_asks_again_by_its_own_attributes(client):
    text = shown("job_progress_htmx job cancel=True", job=noop.enqueue())

    again = client.get(attribute(text, "hx-get")).content.decode()

    assert "<script" not in text
    assert attribute(again, "hx-trigger") == "every 2s"
    assert "Cancel" in again


def test_without_the_urls_it_says_what_to_add():
    with (
        override_settings(ROOT_URLCONF="tests.progress.test_middleware"),
        pytest.raises(
            ImproperlyConfigured, match=r'include\("dbqueue.progress.urls"\)'
        ),
    ):
        shown("job_progress job", job=noop.enqueue())


class TestAPicture:
    @pytest.fixture
    def profile(self, settings):
        settings.MEDIA_URL = "/media/"
        return Profile.objects.create(name="Ada")

    def waiting(self, profile):
        result = noop.enqueue()
        return an_upload(profile, job_id=result.id)

    def test_it_comes_by_itself(self, client, profile):
        upload = self.waiting(profile)
        text = shown(
            'pending_image it "photo" alt="Ada" class="round" variant="thumb"',
            it=profile,
        )
        assert client.get(attribute(text, "src")).json()["status"] == "waiting"
        address = attribute(text, "replace")
        assert "<svg" in client.get(address).content.decode()

        Upload.objects.filter(pk=upload.pk).update(
            state="DONE", final_name="photos/ada.jpg", width=8, height=6
        )
        Profile.objects.update(photo="photos/ada.jpg", photo_width=8, photo_height=6)

        answer = client.get(address)
        assert answer.content.decode().strip() == (
            '<img src="/media/photos/ada.jpg" alt="Ada" width="8" height="6" '
            'class="round">'
        )
        assert answer["Cache-Control"] == "private, no-store"
        assert Balance(text).open == []

    def test_its_address_is_of_this_picture_only(self, client, profile):
        self.waiting(profile)
        address = attribute(shown('pending_image it "photo"', it=profile), "replace")

        assert client.get(address[:-2] + "x/").status_code == 404
        Profile.objects.all().delete()
        assert client.get(address).status_code == 404

    def test_without_the_urls_it_is_as_before(self, profile):
        self.waiting(profile)

        with override_settings(ROOT_URLCONF="tests.progress.test_middleware"):
            text = shown('pending_image it "photo"', it=profile)

        assert "<svg" in text
        assert "job-progress" not in text

    def test_a_refused_one_is_told_and_asks_no_more(self, profile):
        an_upload(profile, "REJECTED", error_message="It is damaged.")

        text = shown('pending_image it "photo"', it=profile)

        assert "It is damaged." in text
        assert "job-progress" not in text
