"""tests.settings for worker processes: more settings come as JSON by environment."""

import json
import os

from tests.settings import *  # noqa: F403

globals().update(json.loads(os.environ.get("DBQUEUE_TEST_SETTINGS", "{}")))
if "DATABASE_POOL" in globals():
    default = DATABASES["default"]  # noqa: F405
    default["CONN_MAX_AGE"] = 0  # or Django refuses to pool
    default["OPTIONS"] = {"pool": globals()["DATABASE_POOL"]}
