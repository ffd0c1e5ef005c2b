"""What stands for a web server: `web.py NOTES CODE` notes what it hears.

At SIGTERM it ends with the code.
"""

import os
import signal
import sys
import time
from pathlib import Path

notes, code = Path(sys.argv[1]), int(sys.argv[2])


def note(text):
    with notes.open("a") as file:
        file.write(f"{text}\n")


def hear(number, frame):
    note(signal.Signals(number).name)
    if number == signal.SIGTERM:
        sys.exit(code)


for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, hear)
note(f"pid {os.getpid()}")
while True:
    time.sleep(60)
