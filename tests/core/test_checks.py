from unittest.mock import patch

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection, connections

from dbqueue import dialects
from dbqueue.checks import check_settings
from dbqueue.tasks.framework import task_backends

# Django's own checks ask every database what it supports.
pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def found(settings):
    """Return a function that tells what the checks say of an entry of TASKS."""

    def found(**options):
        entry = {"BACKEND": "dbqueue.backend.DatabaseBackend", "OPTIONS": options}
        settings.TASKS = {"default": entry}
        return {message.id: message for message in run_checks()}

    return found


def test_the_settings_of_the_suite_pass():
    assert run_checks() == []


def test_e001_tells_of_a_wrong_setting(settings):
    settings.DBQUEUE = {"LEESE": 1}

    (message,) = check_settings()

    assert message.id == "dbqueue.E001"
    assert "no key 'LEESE'. Did you mean 'LEASE'?" in message.msg


def test_e001_stops_a_command(settings):
    settings.DBQUEUE = {"LEASE": "long"}

    with pytest.raises(SystemCheckError, match=r"\(dbqueue\.E001\) DBQUEUE\['LEASE'\]"):
        call_command("check")


def test_e002_tells_of_an_unknown_option(found):
    message = found(databse="default")["dbqueue.E002"]

    assert "TASKS['default']['OPTIONS'] has no 'databse'." in message.msg
    assert "Did you mean 'database'?" in message.msg


@pytest.mark.parametrize("codec", ["pickle", ["typed"], 1, ""])
def test_e002_tells_of_an_unknown_codec(found, codec):
    message = found(codec=codec)["dbqueue.E002"]

    assert f"['codec'] is {codec!r}; it must be one of json, typed" in message.msg


def test_e003_tells_of_a_database_that_is_not_there(found):
    message = found(database="defualt")["dbqueue.E003"]

    assert "['database'] is 'defualt'. Did you mean 'default'?" in message.msg


@pytest.fixture
def forget_dialects():
    """Have each database looked at again: other tests have used them, too."""
    dialects.of.cache_clear()
    yield
    dialects.of.cache_clear()


@pytest.mark.usefixtures("forget_dialects")
def test_e004_tells_of_a_database_that_is_not_supported(found, monkeypatch):
    monkeypatch.setattr(connections["other"], "vendor", "oracle")

    message = found(database="other")["dbqueue.E004"]

    assert "'other' is oracle; dbqueue runs on" in message.msg


def test_w001_tells_of_another_runworker(settings, monkeypatch):
    from django.core import management

    management.get_commands.cache_clear()
    settings.INSTALLED_APPS = ["tests.channels", *settings.INSTALLED_APPS]

    (message,) = check_settings()

    management.get_commands.cache_clear()
    assert message.id == "dbqueue.W001"
    assert "is a command of 'tests.channels'" in message.msg
    assert "dbqueue_worker" in message.hint


def test_w002_tells_of_models_on_another_database(found):
    message = found(database="other")["dbqueue.W002"]

    assert "models are also elsewhere" in message.msg
    assert "after that transaction's commit" in message.hint


@pytest.mark.parametrize(
    "name", [":memory:", "file:memorydb_default?mode=memory&cache=shared"]
)
@pytest.mark.usefixtures("only_sqlite")
def test_w003_and_w004_say_nothing_of_a_database_in_memory(found, name):
    options = connection.settings_dict["OPTIONS"]
    changed = {**connection.settings_dict, "NAME": name, "OPTIONS": {}}
    with patch.dict(connection.settings_dict, changed):
        ids = found().keys()

    assert not ids & {"dbqueue.W003", "dbqueue.W004"}
    assert connection.settings_dict["OPTIONS"] is options


@pytest.mark.parametrize(
    ("option", "id"), [("transaction_mode", "W003"), ("init_command", "W004")]
)
@pytest.mark.usefixtures("only_sqlite")
def test_w003_and_w004_tell_of_an_sqlite_that_will_be_locked(found, option, id):
    options = connection.settings_dict["OPTIONS"]
    value = options.pop(option)
    try:
        message = found()[f"dbqueue.{id}"]
    finally:
        options[option] = value

    assert option.replace("init_command", "journal_mode") in message.msg
    assert message.hint


CLOCKS = [
    ({"USE_TZ": False, "TIME_ZONE": "Europe/Berlin"}, None, True),
    ({"USE_TZ": False, "TIME_ZONE": "Asia/Kathmandu"}, None, False),
    ({"USE_TZ": True, "TIME_ZONE": "Europe/Berlin"}, None, False),
    ({"USE_TZ": True, "TIME_ZONE": "UTC"}, "America/New_York", True),
    ({"USE_TZ": True, "TIME_ZONE": "Europe/Berlin"}, "Asia/Tokyo", False),
]


@pytest.mark.parametrize(("clock", "zone", "changes"), CLOCKS)
@pytest.mark.usefixtures("only_sqlite")
def test_w005_tells_of_a_local_time_whose_clock_changes(
    found, settings, clock, zone, changes
):
    with patch.dict(connection.settings_dict, TIME_ZONE=zone):
        # After that: the change makes the connection read its own settings again.
        for name, value in clock.items():
            setattr(settings, name, value)
        messages = found()

    assert ("dbqueue.W005" in messages) is changes
    if changes:
        assert repr(zone or clock["TIME_ZONE"]) in messages["dbqueue.W005"].msg


@pytest.mark.parametrize(
    ("lists", "told"),
    [
        ([["mail"]], ["mial", "pdf"]),
        ([["mail"], ["pdf"]], ["mial"]),
        ([["mail"], []], []),
        ([], []),
    ],
)
def test_w015_tells_of_limited_queues_that_no_entry_lists(settings, lists, told):
    limits = {
        name: {"concurrency": 2} for name in ("mial", "mail", "operations", "pdf")
    }
    settings.DBQUEUE = {"QUEUES": limits}
    entry = {"BACKEND": "dbqueue.backend.DatabaseBackend"}
    entries = {f"b{n}": entry | {"QUEUES": queues} for n, queues in enumerate(lists)}
    settings.TASKS = entries or {
        "default": {"BACKEND": "dbqueue.testing.RecordingBackend"}
    }

    found = [message for message in check_settings() if message.id == "dbqueue.W015"]

    assert [m.msg.partition(", a")[0] for m in found] == [
        f"DBQUEUE['QUEUES'] limits {name!r}" for name in told
    ]
    assert not found or "Did you mean 'mail'?" in found[0].msg


@pytest.mark.parametrize("name", ["RecordingBackend", "ImmediateBackend"])
def test_a_backend_for_tests_is_checked_for_its_options(settings, name):
    options = {"databse": "x", "defaults": {"queue:mail": {"max_attemps": 3}}}
    entry = {"BACKEND": f"dbqueue.testing.{name}", "OPTIONS": options, "QUEUES": []}
    settings.TASKS = {"default": entry}

    found = {m.id: m.msg for m in run_checks() if m.id.startswith("dbqueue.E")}

    assert found.keys() == {"dbqueue.E002", "dbqueue.E006"}
    assert (
        "no option 'max_attemps'. Did you mean 'max_attempts'?" in found["dbqueue.E006"]
    )


def test_a_backend_for_tests_needs_no_checks(settings):
    backend = "dbqueue.testing.ImmediateBackend"
    settings.TASKS = {"default": {"BACKEND": backend, "OPTIONS": {"database": "?"}}}

    assert task_backends["default"].check() == []
