"""tests.settings for worker processes: more settings come as JSON by environment."""

import json
import os

from tests.settings import *  # noqa: F403

globals().update(json.loads(os.environ.get("DBQUEUE_TEST_SETTINGS", "{}")))
