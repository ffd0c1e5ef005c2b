"""What `check` says of the settings of progress."""

import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from dbqueue.progress import conf

pytestmark = pytest.mark.django_db  # Django 6.1 checks all databases


def found(**progress):
    with override_settings(DBQUEUE={"PROGRESS": progress}):
        return [
            m for m in checks.run_checks(tags=["dbqueue"]) if m.id == "dbqueue.E020"
        ]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("dbqueue.progress.owned_by_usr", "owned_by_usr"),
        ("nowhere.owns", "No module named 'nowhere'"),
        ("dbqueue.progress.conf.KEY", "it is no function"),
        ("owns", "doesn't look like a module path"),
    ],
)
def test_a_function_that_there_is_not_is_told(path, words):
    (error,) = found(OWNS=path)

    assert words in error.msg


def test_a_storage_that_there_is_not_is_told_with_the_nearest():
    (error,) = found(STORAGE="defualt")

    assert "Did you mean 'default'?" in error.msg


def test_what_there_is_passes():
    assert not found(OWNS="dbqueue.progress.owned_by_user", STORAGE="default")
    assert not found()


def test_a_key_that_there_is_not_is_refused_with_the_nearest():
    with (
        override_settings(DBQUEUE={"PROGRESS": {"TOKEN_AGES": 5}}),
        pytest.raises(ImproperlyConfigured, match="Did you mean 'TOKEN_AGE'"),
    ):
        conf.current()
