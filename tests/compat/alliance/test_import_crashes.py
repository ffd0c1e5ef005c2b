"""A takeover of alliance-platform-storage's table that dies after any statement."""

from itertools import count

import pytest
from django.core.files.base import ContentFile
from django.db import connection

from dbqueue.compat.moving.alliance import TempFile
from dbqueue.fields.models import FieldUpload
from dbqueue.models import Upload
from dbqueue.uploads.sweep.cleanup import Sweep
from tests.compat.alliance.conftest import PDF
from tests.compat.alliance.test_import import add, create_table, move, outcomes
from tests.compat.alliance_app.models import Report, storage
from tests.fields.conftest import stored
from tests.model.test_crash_points import Scene, Stage
from tests.support.processes import on_demand

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("quiet"),
    on_demand,
]

NAMED = ("async-temp-files/bulk.pdf", "async-temp-files/failed.pdf")
WAITS = "async-temp-files/waits.pdf"
DONE = "reports/done.pdf"


class Import(Scene):
    """Two rows name a temporary file, one waits for its form, one is in its place."""

    def prepare(self):
        Report.objects.all().delete()
        TempFile._default_manager.all().delete()
        for name in stored():
            storage.delete(name)
        for key in (*NAMED, WAITS, DONE):
            storage.save(key, ContentFile(PDF))
        Report.objects.bulk_create(Report(document=key) for key in (*NAMED, DONE))
        add(TempFile._default_manager, NAMED[0])
        add(TempFile._default_manager, NAMED[1], error="Cannot move")
        add(TempFile._default_manager, WAITS)
        add(TempFile._default_manager, "async-temp-files/x.pdf", moved_to_location=DONE)

    def act(self):
        move()

    def look(self):
        # What is not there any more, is here.
        left = set(TempFile._default_manager.values_list("key", flat=True))
        here = set(Upload.objects.values_list("held_as", flat=True))
        assert {*NAMED, WAITS} <= left | here

    def go_on(self):
        assert set(outcomes(move())) <= {"moved", "there"}
        assert move() == []

    def verify(self):
        assert not TempFile._default_manager.exists()
        assert FieldUpload.objects.count() == Upload.objects.count() == 3
        names = set(Report.objects.values_list("document", flat=True))
        assert len(names) == Report.objects.count() == 3
        assert not names & {*NAMED}
        for report in Report.objects.all():
            assert report.document.read() == PDF
        Sweep("default").run()
        assert stored() == {*names, WAITS}
        Upload.objects.update(expires_at="2020-01-01T00:00:00Z")
        Sweep("default").run()
        assert stored() == names


@pytest.fixture(autouse=True)
def table():
    create_table()
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {TempFile._meta.db_table}")


def test_a_death_after_any_statement_loses_nothing_and_takes_nothing_over_twice():
    for statement in count(1):
        stage = Stage(Import, statement)

        stage.verify()
        if not stage.died:
            break
    assert statement > 20
