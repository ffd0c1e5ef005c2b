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
        self.runs[number] += 1

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


def photo(number, execute):
    """Make a small picture of a large one, both of them bytes in the database."""
    from PIL import Image  # half of the start of a worker that decodes nothing

    STAMPS.start(number)
    ((data,),) = execute("SELECT data FROM original", ()).fetchall()
    image = Image.open(BytesIO(data))
    image.thumbnail((400, 400))
    small = BytesIO()
    image.save(small, "JPEG")
    execute("INSERT INTO thumbnail VALUES (%s, %s)", (number, small.getvalue()))
    return number


STAMPS = Stamps(os.environ["STAMPS"]) if "STAMPS" in os.environ else None
