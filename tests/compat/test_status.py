"""The tables of what is supported are those that the tests show."""

import pytest

from tests.compat import status
from tests.support.processes import ROOT


@pytest.mark.parametrize("guide", status.GUIDES)
def test_the_table_of_a_guide_is_as_the_tests_have_it(guide):
    text = (ROOT / guide).read_text()
    assert text == status.written(guide), "Run: python -m tests.compat.status"
    assert "<!-- status -->" in text


def test_a_row_without_a_test_is_refused():
    with pytest.raises(LookupError, match="there is no test 'test_nothing'"):
        status.table([status.row("`x`", "yes", "", "test_nothing")])
