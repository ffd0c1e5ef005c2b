import dataclasses
import re

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from dbqueue import conf
from dbqueue.uploads import conf as upload_conf


def test_without_a_setting_the_defaults_hold():
    settings = conf.current()

    assert settings.lease == 30.0
    assert settings.max_attempts == 5
    assert settings.keep_successful == 7 * 86_400
    assert settings.keep_failed == 30 * 86_400


def test_a_key_changes_one_value():
    with override_settings(DBQUEUE={"LEASE": 12, "TIMEOUT": None}):
        assert conf.current() == dataclasses.replace(conf.Settings(), lease=12)


def test_a_changed_setting_is_seen_without_a_reset():
    with override_settings(DBQUEUE={"LEASE": 12}):
        assert conf.current().lease == 12
        with override_settings(DBQUEUE={"LEASE": 13}):
            assert conf.current().lease == 13
        assert conf.current().lease == 12
    assert conf.current().lease == 30


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        conf.current().lease = 1


def test_a_misspelt_key_is_refused_with_the_nearest(settings):
    message = r"no key 'POL_INTERVAL'\. Did you mean 'POLL_INTERVAL'\?"

    settings.DBQUEUE = {"POL_INTERVAL": 1}

    with pytest.raises(ImproperlyConfigured, match=message):
        conf.current()


@pytest.mark.parametrize("key", ["lease", "Q", 1, None, "Compat", "uploads"])
def test_an_unknown_key_is_refused(settings, key):
    settings.DBQUEUE = {key: 1}

    with pytest.raises(ImproperlyConfigured, match="DBQUEUE has no key"):
        conf.current()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("LEASE", "30"),
        ("LEASE", None),
        ("LEASE", True),
        ("THREADS", 2.5),
        ("THREADS", True),
        ("NOTIFY", 1),
        ("NOTIFY", "yes"),
        ("TIMEOUT", "1m"),
        ("KEEP_FAILED", [1]),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(settings, key, value):
    settings.DBQUEUE = {key: value}

    with pytest.raises(ImproperlyConfigured, match=f"'{key}'.* must be of type"):
        conf.current()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("LEASE", 0),
        ("LEASE", -1),
        ("LEASE", float("nan")),
        ("POLL_INTERVAL", 0),
        ("SQLITE_POLL_INTERVAL", -0.1),
        ("MAX_ATTEMPTS", 0),
        ("PROCESSES", 0),
        ("THREADS", -4),
        ("ASYNC_CONCURRENCY", 0),
        ("MAX_ATTEMPTS", 32_768),
        ("TIMEOUT", 0),
        ("TIMEOUT", -1),
        ("GRACE", -1),
        ("KEEP_FAILED", -1),
        ("MAX_PAYLOAD", 0),
        ("MAX_PAYLOAD", 300_000_000),
    ],
)
def test_a_value_out_of_range_is_refused(settings, key, value):
    settings.DBQUEUE = {key: value}

    with pytest.raises(ImproperlyConfigured, match=f"'{key}'.* must be"):
        conf.current()


@pytest.mark.parametrize("setting", [None, [], "LEASE", {"LEASE"}])
def test_the_setting_must_be_a_dict(settings, setting):
    settings.DBQUEUE = setting

    with pytest.raises(ImproperlyConfigured, match="DBQUEUE must be a dict"):
        conf.current()


class TestTheSectionOfAWing:
    def test_a_section_has_its_defaults_without_a_setting(self):
        assert upload_conf.current() == upload_conf.UploadSettings()

    def test_a_section_is_read_from_a_dict_of_its_own(self, settings):
        settings.DBQUEUE = {"LEASE": 12, "UPLOADS": {"MAX_SIZE": 5}}

        assert upload_conf.current().max_size == 5
        assert conf.current().lease == 12

    @pytest.mark.parametrize("key", upload_conf.RENAMED)
    def test_a_section_names_the_new_spelling_of_a_flat_key(self, settings, key):
        settings.DBQUEUE = {key: 5}

        new = re.escape(upload_conf.RENAMED[key])
        with pytest.raises(ImproperlyConfigured, match=rf"{key}.*moved\. Set {new}"):
            conf.current()

    @pytest.mark.parametrize(
        ("section", "words"),
        [
            ({"MAX_SIZ": 1}, r"\['UPLOADS'\] has no key 'MAX_SIZ'.*'MAX_SIZE'\?"),
            ({"MAX_SIZE": "5"}, r"\['UPLOADS'\]\['MAX_SIZE'\] is '5'; .* type int"),
            ({"MAX_SIZE": 0}, r"\['UPLOADS'\]\['MAX_SIZE'\] is 0; .* at least 1"),
            ({"MAX_SIZE": 100_000_001}, "must be at most 100000000"),
            ({"KEEP": None}, r"\['KEEP'\] is None; it must be of type float"),
            (5, r"\['UPLOADS'\] must be a dict, not 5"),
        ],
    )
    def test_a_section_is_refused_in_words(self, settings, section, words):
        settings.DBQUEUE = {"UPLOADS": section}

        with pytest.raises(ImproperlyConfigured, match=words):
            upload_conf.current()

    def test_a_misspelt_section_is_refused_with_the_nearest(self, settings):
        settings.DBQUEUE = {"UPLOAD": {}}

        with pytest.raises(ImproperlyConfigured, match="Did you mean 'UPLOADS'"):
            conf.current()
