"""The serializers of a project that was written for alliance-platform-storage."""

import pytest
from rest_framework.exceptions import ValidationError

from dbqueue.compat.alliance_platform.storage.async_uploads.models import (
    AsyncFileInputData,
)
from tests.compat.alliance.conftest import DOCUMENT, SCAN, name_of
from tests.compat.alliance_app.models import Practice, Report
from tests.compat.alliance_app.serializers import PracticeSerializer, ReportSerializer
from tests.fields.conftest import picture
from tests.support.processes import once

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.compat.alliance_app.urls"),
    once,
]


@pytest.fixture
def report(page, as_ada):
    sent = page.send(SCAN, picture(), "scan.png")
    return Report.objects.create(scan=AsyncFileInputData(**sent))


def saved(serializer):
    assert serializer.is_valid(), serializer.errors
    return serializer.save()


def test_files_come_in_as_json_and_go_out_with_their_url(page, as_ada):
    scan = page.send(SCAN, picture(), "scan.png")
    given = {"document": page.send(DOCUMENT), "scan": {**scan, "width": 1, "height": 2}}

    report = saved(ReportSerializer(data=given))

    assert (name_of(report.document), name_of(report.scan)) == ("abc", "scan")
    assert (report.scan_width, report.scan_height) == (16, 12)
    name = report.document.name
    assert ReportSerializer(report).data["document"] == {
        "key": name,
        "name": name.rpartition("/")[2],
        "url": report.document.url,
    }


@pytest.mark.parametrize(
    "given",
    [
        "whatever.png",
        {"key": "/storage/a.png", "name": "a.png"},
        {"key": "async-temp-files/none", "name": "a.png"},
        {"name": "a.png"},
        [1],
        5,
        True,
    ],
)
def test_what_names_no_upload_is_an_error(as_ada, given):
    serializer = ReportSerializer(data={"scan": given})

    assert not serializer.is_valid()
    assert "Choose the file again" in serializer.errors["scan"][0]


def test_a_name_that_is_too_long_is_an_error(page, as_ada):
    sent = page.send(DOCUMENT)

    long = ReportSerializer(data={"document": {**sent, "name": "a" * 501}})
    fits = ReportSerializer(data={"document": {**sent, "name": "a" * 500}})

    assert not long.is_valid()
    assert "at most 500 characters" in long.errors["document"][0]
    assert fits.is_valid(), fits.errors


def test_the_file_that_is_there_is_taken_and_another_ones_is_not(report):
    def given(key):
        data = {"scan": {"key": key, "name": "scan.png"}}
        return ReportSerializer(report, data=data)

    same, other = given(report.scan.name), given("b.png")

    assert saved(same).scan.name == report.scan.name
    assert not other.is_valid()
    assert "Invalid upload received" in other.errors["scan"][0]


def test_a_file_is_replaced_by_one_that_was_sent(page, report):
    sent = page.send(SCAN, picture((8, 4)), "next.png", instanceId=report.pk)

    saved(ReportSerializer(report, data={"scan": sent}))

    report = Report.objects.get()
    assert name_of(report.scan) == "next"
    assert (report.scan_width, report.scan_height) == (8, 4)


def test_a_serializer_within_another_knows_the_row_by_its_key(page, report):
    practice = Practice.objects.create(name="North")
    row = ReportSerializer(report).data
    without = {key: value for key, value in row.items() if key != "id"}

    def given(row):
        data = {"name": "North", "reports": [row]}
        return PracticeSerializer(practice, data=data)

    assert not given(without).is_valid()
    assert given(row).is_valid()
    assert given({**row, "scan": page.send(SCAN, picture(), "b.png")}).is_valid()
    for wrong in (99, "nonsense", None, [1]):
        assert not given({**row, "id": wrong}).is_valid()


def test_a_row_of_somebody_else_gives_no_file_away(report, client, page):
    # There, this is an error of the server.
    practice = Practice.objects.create(name="North")
    data = {"name": "North", "reports": [ReportSerializer(report).data]}
    serializer = PracticeSerializer(practice, data=data)
    assert serializer.is_valid()

    with pytest.raises(ValidationError) as caught:
        serializer.save()

    assert caught.value.status_code == 400
    assert list(caught.value.detail) == ["scan"]
    assert not practice.reports.exists()
