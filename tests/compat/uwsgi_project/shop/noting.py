"""What functions leave for the test, a line of JSON each."""

import json
import os
import time


def note(key, *values):
    line = json.dumps([key, time.time(), os.getpid(), *values]) + "\n"
    with open(os.environ["NOTES"], "a") as file:
        file.write(line)
