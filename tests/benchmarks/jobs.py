"""The jobs that are measured. Each stamps its own start: no peer can flatter itself."""

import asyncio
import mmap
import os
import time
from io import BytesIO

EACH = 9  # bytes a job: its start as a double, and how often it ran


class Stamps:
    """When each job started, in memory that all processes share."""

    def __init__(self, path):
        with open(path, "r+b") as file:
            memory = memoryview(mmap.mmap(file.fileno(), 0))
        count = len(memory) // EACH
        self.starts = memory[: 8 * count].cast("d")
        self.runs = memory[8 * count :]

    def start(self, number):
        self.starts[number] = time.monotonic()
        # A byte each; the jobs of schedules have one number, and are many.
        self.runs[number] = min(self.runs[number] + 1, 255)

    def started(self, number, *, pause=0.001, limit=60):
        """Return when the job started, once it has. Raises TimeoutError."""
        deadline = time.monotonic() + limit
        while not self.runs[number]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {number} did not start in {limit} seconds")
            time.sleep(pause)
        return self.starts[number]

    def missing(self):
        """Return how many jobs have not started."""
        return bytes(self.runs).count(0)

    def repeated(self):
        """Return how many jobs were run more than once."""
        return len(self.runs) - self.missing() - bytes(self.runs).count(1)


def noop(number):
    STAMPS.start(number)
    return number


def sleep(number):
    STAMPS.start(number)
    time.sleep(0.01)
    return number


async def asleep(number):
    STAMPS.start(number)
    await asyncio.sleep(0.01)
    return number


def photo(number, cursor):
    """Make a small picture of a large one, both of them bytes in the database."""
    from PIL import Image  # half of the start of a worker that decodes nothing

    STAMPS.start(number)
    image = Image.open(BytesIO(original(cursor)))
    image.thumbnail((400, 400))
    small = BytesIO()
    image.save(small, "JPEG")
    with cursor() as writing:
        row = number, small.getvalue()
        writing.execute("INSERT INTO thumbnail VALUES (%s, %s)", row)
    return number


def original(cursor):
    """Read the large picture; then nobody holds the answer any more, 6 MB of text."""
    with cursor() as reading:
        reading.execute("SELECT data FROM original")
        ((data,),) = reading.fetchall()
        return data


STAMPS = Stamps(os.environ["STAMPS"]) if "STAMPS" in os.environ else None
