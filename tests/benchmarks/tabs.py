"""What browsers ask for while somebody looks at a queue, or waits for a job."""

import secrets
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection

from tests.benchmarks.peers import PYTHON
from tests.benchmarks.runs import Failed, stop
from tests.benchmarks.site import OVERVIEW, TOKENS, free_port

# Seconds between two looks, as the pages have them; and how many times as long as an
# answer took, a tab waits, in seconds at most.
TAB, WAITING = 3.0, 2.0
PATIENCE, LONGEST = 40, 30.0
LIVE = {"X-Dbqueue-Live": "dbq-overview"}


class Site:
    """A site on the run's database, in a process of its own."""

    def __init__(self, run):
        self.port, self._key = free_port(), secrets.token_hex(16)
        run.env["BENCHMARK_KEY"] = self._key
        command = [*PYTHON, "django", "runserver", "--noreload", str(self.port)]
        with (run.store.folder / "site.log").open("w") as log:
            self.process = subprocess.Popen(
                command, env=run.env, stdout=log, stderr=log, start_new_session=True
            )
        run.wait(lambda: self.look(OVERVIEW), 60, pause=0.1)

    def look(self, path):
        """Return what is answered; nothing, if that is no success."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        with suppress(OSError):
            headers = {"X-Benchmark-Key": self._key, **LIVE}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            return text if answer.status == 200 else ""
        return ""


@contextmanager
def looking(run, *, tabs=0, viewers=0):
    """Have a site on the run's database, with so many who look; give their looks.

    Tabs show the overview, viewers wait for a job each. The site is there without them,
    too: its process is not what is measured.
    """
    site, over, seen = Site(run), threading.Event(), []
    try:
        asked = [(OVERVIEW, TAB, PATIENCE)] * tabs
        if viewers:
            tokens = site.look(f"{TOKENS}?n={viewers}").split()
            asked += [(f"/jobs/{token}/status.json", WAITING, 0) for token in tokens]
        with ThreadPoolExecutor(max(1, len(asked))) as pool:
            looks = [
                pool.submit(look_on, site, over, seen, n / len(asked), *habits)
                for n, habits in enumerate(asked)
            ]
            try:
                yield seen
            finally:
                over.set()
        for each in looks:
            each.result()
    finally:
        stop(site.process)


def look_on(site, over, seen, phase, path, every, patience):
    """Look again and again until it is over; add how many letters each look brought."""
    pause = every * phase
    while not over.wait(pause):
        began = time.monotonic()
        text = site.look(path)
        if not text:
            raise Failed(f"{path} does not answer")
        seen.append(len(text))
        took = time.monotonic() - began
        pause = min(LONGEST, max(every, patience * took))
