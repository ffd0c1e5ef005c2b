"""The marks of tests that drive a site in Chromium."""

import pytest
from django.db import connection

from tests.browser.chromium import MISSING

WITH_BROWSER = [
    pytest.mark.skipif(
        connection.vendor != "sqlite",
        reason="the site has an SQLite file of its own; once is enough",
    ),
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"NO BROWSER HERE: {' and '.join(MISSING)} not found, install Debian's "
        "chromium and chromium-driver",
    ),
]
