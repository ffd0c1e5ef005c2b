"""A module whose import never ends, as one that waits for a server might."""

import time

time.sleep(3600)
