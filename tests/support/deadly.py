"""A module whose import ends the process, as a broken extension might."""

import os

os.abort()
