"""What a page shows of a field while its picture waits, and what it costs to ask."""

import re

import pytest
from django.core.paginator import Paginator
from django.template import Context, Template
from django.utils import translation

from dbqueue.exceptions import UploadError, UploadFieldUnknown
from dbqueue.models import UploadState
from dbqueue.uploads import prefetch_uploads, uploads_for
from tests.gallery.models import Artist, Fan, Profile
from tests.uploads.rows import an_upload

pytestmark = pytest.mark.django_db
THUMB = {"thumb": {"name": "photos/ada-thumb.webp", "width": 200, "height": 150}}


@pytest.fixture(autouse=True)
def media(settings):
    settings.MEDIA_URL = "/media/"


@pytest.fixture
def profile():
    return Profile.objects.create(name="Ada")


def a_saved_upload(instance, name="photos/ada.jpg", **columns):
    upload = an_upload(
        instance,
        UploadState.DONE,
        final_name=name,
        **{"pictures": THUMB, "width": 800, "height": 600, **columns},
    )
    put(instance, name, 800, 600)
    return upload


def put(instance, name, width, height):
    """Have the field hold a name; refresh_from_db() would open the file."""
    columns = {"photo": name, "photo_width": width, "photo_height": height}
    type(instance).objects.filter(pk=instance.pk).update(**columns)
    vars(instance).update(columns)


def shown(instance, options="", field_name="photo"):
    """Return what the tag renders."""
    text = (
        f'{{% load dbqueue_uploads %}}{{% pending_image it "{field_name}" {options} %}}'
    )
    return Template(text).render(Context({"it": instance})).strip()


class TestTheTagShows:
    def test_the_tag_shows_nothing_where_there_is_nothing(self, profile):
        assert shown(profile) == ""
        assert shown(Profile()) == ""

    def test_the_tag_shows_the_picture(self, profile):
        a_saved_upload(profile)

        assert shown(profile) == (
            '<img src="/media/photos/ada.jpg" alt="Photo" width="800" height="600">'
        )

    def test_the_tag_shows_a_variant_of_it(self, profile):
        a_saved_upload(profile)

        text = shown(profile, 'variant="thumb" alt="Ada" class="round" loading="lazy"')

        assert text == (
            '<img src="/media/photos/ada-thumb.webp" alt="Ada" width="200" height="150"'
            ' class="round" loading="lazy">'
        )

    def test_the_tag_shows_the_picture_where_it_has_no_such_variant(self, profile):
        a_saved_upload(profile, pictures={})

        assert "photos/ada.jpg" in shown(profile, 'variant="thumb"')

    def test_the_tag_shows_a_picture_that_came_another_way_with_its_known_size(
        self, profile
    ):
        a_saved_upload(profile)
        put(profile, "other.jpg", 30, 20)

        assert shown(profile, 'variant="thumb"') == (
            '<img src="/media/other.jpg" alt="Photo" width="30" height="20">'
        )

    def test_the_tag_shows_a_placeholder_while_there_is_no_picture_yet(self, profile):
        upload = an_upload(profile)

        text = shown(profile, 'alt="Ada" class="round"')

        assert f'data-upload="{upload.pk}" data-state="STORED"' in text
        assert re.search(r'<svg role="img" aria-label="Ada: the picture is being', text)
        assert 'class="round"' in text
        assert "<img" not in text

    def test_the_tag_shows_a_placeholder_of_the_projects_own(self, profile):
        an_upload(profile)

        text = shown(profile, 'placeholder="/static/wait.png"')

        assert '<img src="/static/wait.png" alt="Photo: the picture is being' in text
        assert "<svg" not in text

    def test_the_tag_shows_the_old_picture_with_a_mark_while_a_new_one_waits(
        self, profile
    ):
        a_saved_upload(profile)
        an_upload(profile)

        text = shown(profile, 'variant="thumb"')

        assert "ada-thumb.webp" in text
        assert "A new picture is being prepared." in text

    @pytest.mark.parametrize("state", ["REJECTED", "FAILED"])
    def test_the_tag_shows_why_there_is_no_picture(self, profile, state):
        an_upload(
            profile, state, error_code="damaged", error_message="It is <damaged>."
        )

        text = shown(profile)

        assert 'role="alert">It is &lt;damaged&gt;.<' in text
        assert f'data-state="{state}"' in text
        assert "<svg" not in text

    def test_the_tag_shows_the_old_picture_and_why_there_is_no_new_one(self, profile):
        a_saved_upload(profile)
        an_upload(profile, "REJECTED", error_message="It is damaged.")

        text = shown(profile)

        assert "photos/ada.jpg" in text
        assert "It is damaged." in text

    def test_the_tag_shows_no_error_of_before_the_last_change(self, profile):
        an_upload(profile, "REJECTED", error_message="It is damaged.")
        put(profile, "later.jpg", 30, 20)

        assert "damaged" not in shown(profile)
        assert "/media/later.jpg" in shown(profile)

    @pytest.mark.parametrize("state", ["SUPERSEDED", "CANCELLED"])
    def test_the_tag_shows_nothing_of_what_was_given_up(self, profile, state):
        an_upload(profile, state)

        assert shown(profile) == ""

    def test_the_tag_shows_nothing_of_another_row_or_field(self, profile):
        an_upload(Profile.objects.create())
        an_upload(profile, field_name="banner")

        assert shown(profile) == ""

    def test_the_tag_shows_an_escaped_text(self, profile):
        a_saved_upload(profile, name='photos/"><b>.jpg')
        an_upload(profile)
        profile.name = '"><b>'

        text = shown(profile, "alt=it.name class=it.name")

        assert "<b>" not in text

    def test_the_tag_shows_a_picture_whose_column_belongs_to_a_parent(self):
        artist = Artist.objects.create(name="Ada")
        an_upload(artist)

        for instance in (artist, Profile.objects.get(), Fan.objects.get()):
            assert "<svg" in shown(instance)

    def test_the_tag_shows_numbers_that_html_understands_in_any_language(
        self, profile, settings
    ):
        settings.USE_THOUSAND_SEPARATOR = True
        a_saved_upload(profile, width=1600, height=1200)

        with translation.override("de"):
            assert 'width="1600" height="1200"' in shown(profile)

    def test_the_tag_shows_what_a_project_puts_in_its_place(
        self, profile, settings, tmp_path
    ):
        template = tmp_path / "dbqueue" / "uploads" / "pending_image.html"
        template.parent.mkdir(parents=True)
        template.write_text("ours {{ picture.url }}")
        settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
        a_saved_upload(profile)

        assert shown(profile) == "ours /media/photos/ada.jpg"

    @pytest.mark.parametrize("name", ["foto", "name", "photo_width"])
    def test_the_tag_shows_in_words_that_there_is_no_such_field(self, profile, name):
        with pytest.raises(UploadFieldUnknown, match="has no FileField"):
            shown(profile, field_name=name)

    def test_the_tag_shows_in_words_that_there_is_no_instance(self):
        with pytest.raises(UploadError, match="'' is not a model instance"):
            shown("")


class TestTheCost:
    @pytest.fixture(autouse=True)
    def no_storage(self, monkeypatch):
        def refuse(*args):
            raise AssertionError("The storage was asked.")

        for name in ("open", "exists", "size"):
            monkeypatch.setattr(f"django.core.files.storage.Storage.{name}", refuse)
            monkeypatch.setattr(
                f"django.core.files.storage.FileSystemStorage.{name}", refuse
            )

    @pytest.fixture
    def page(self):
        for number in range(50):
            profile = Profile.objects.create(name=str(number))
            for _ in range(3):
                an_upload(profile, "CANCELLED")
            if number % 2:
                a_saved_upload(profile, name=f"photos/{number}.jpg")
            if number % 3:
                an_upload(profile)

    def test_the_tag_costs_one_query_for_an_instance(
        self, profile, django_assert_num_queries
    ):
        a_saved_upload(profile)

        with django_assert_num_queries(1):
            shown(profile)

    def test_the_tag_costs_one_query_for_a_page(self, page, django_assert_num_queries):
        profiles = Profile.objects.order_by("pk")

        with django_assert_num_queries(2):  # the profiles, too
            prefetch_uploads(profiles, "photo")
            texts = [shown(profile, 'variant="thumb"') for profile in profiles]

        assert sum("ada-thumb.webp" in text for text in texts) == 25
        assert sum("<svg" in text for text in texts) == 16
        assert sum("being prepared" in text for text in texts) == 33

    def test_the_tag_costs_one_query_for_several_fields_of_a_paginators_page(
        self, page, django_assert_num_queries
    ):
        found = Paginator(Profile.objects.order_by("pk"), 20).page(2)

        with django_assert_num_queries(2):
            profiles = prefetch_uploads(found, "photo", "banner")
            texts = [shown(p) + shown(p, field_name="banner") for p in profiles]

        assert len(texts) == 20

    def test_to_prefetch_the_uploads_of_nothing_costs_no_query(
        self, django_assert_num_queries
    ):
        with django_assert_num_queries(0):
            assert prefetch_uploads([], "photo") == []
            assert prefetch_uploads([Profile()], "photo")

    def test_a_field_that_was_uploaded_often_costs_no_more_rows(self, profile):
        for number in range(20):
            a_saved_upload(profile, name=f"photos/{number}.jpg")
        an_upload(profile)

        (found,) = prefetch_uploads([profile], "photo")

        known = found._dbqueue_uploads["photo"]
        assert list(known.saved) == ["photos/19.jpg"]
        assert known.latest.state == "STORED"


class TestUploadsFor:
    def test_uploads_for_an_instance_are_the_newest_first(self, profile):
        first, second = an_upload(profile, "REJECTED"), an_upload(profile)

        assert [handle.id for handle in uploads_for(profile)] == [second.pk, first.pk]

    def test_uploads_for_an_instance_are_of_one_field_if_one_is_given(self, profile):
        upload = an_upload(profile, field_name="banner")
        an_upload(profile)

        assert [handle.id for handle in uploads_for(profile, "banner")] == [upload.pk]

    def test_uploads_for_what_was_not_saved_are_none(self):
        assert uploads_for(Profile()) == []

    def test_uploads_for_an_instance_cost_one_query(
        self, profile, django_assert_num_queries
    ):
        with django_assert_num_queries(1):
            assert uploads_for(profile) == []

    def test_uploads_for_a_field_that_is_none_are_refused(self, profile):
        with pytest.raises(UploadFieldUnknown, match="Did you mean 'photo'"):
            uploads_for(profile, "foto")
