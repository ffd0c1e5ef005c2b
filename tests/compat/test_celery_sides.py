"""One project on Celery and on dbqueue answers alike, but for what is listed."""

from importlib.util import find_spec

import pytest
from django.db import connection

from tests.compat.sides import table
from tests.support.processes import on_demand

pytestmark = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="it has a file of its own"
)


def test_the_page_lists_the_differences_that_are_argued():
    text = table.PAGE.read_text()
    differing = text.partition("## Where they do not")[0]

    for question, why in table.DIFFERENCES.items():
        assert f"| {question} |" in differing, question
        assert why in differing


@on_demand
def test_dbqueue_answers_as_the_page_says(tmp_path):
    answers = table.asked("dbqueue", tmp_path)
    text = table.PAGE.read_text()

    for question, answer in answers.items():
        assert f" {table.said(answer)} |" in table.row_of(text, question), question


@on_demand
def test_celery_answers_alike_but_for_what_is_argued(tmp_path):
    if find_spec("celery") is None:
        pytest.skip("SKIPPED LOUDLY: Celery is not installed, so it was not asked")
    answers = {side: table.asked(side, tmp_path / side) for side in table.SIDES}

    assert table.differing(answers) == table.DIFFERENCES.keys()
    assert table.PAGE.read_text() == table.page(answers)
