"""One step in a process of a peer's own: python -m tests.benchmarks.side STEP ARGS…

PEER, DATABASE_URL and STAMPS are in the environment; the answer is printed as JSON.
"""

import inspect
import json
import os
import random
import sys
import time
from functools import cache
from importlib import import_module

import django

from tests.benchmarks import jobs
from tests.benchmarks.peers import HERE, PEERS

PEER = PEERS[os.environ["PEER"]]
CHUNK = 10_000
WARM_UP = 20


async def each(function, job, numbers, pauses=None):
    """Call it for every number; return when each call came back, after the first's."""
    moments = [time.monotonic()]
    for number in numbers:
        if pauses:
            time.sleep(random.uniform(*pauses))
        done = function(job, number)
        if done is not None:
            await done
        moments.append(time.monotonic())
    return moments


def run(function, *args):
    """Run it to its end; only if it is a peer's coroutine, in an event loop."""
    steps = each(function, *args)
    if inspect.iscoroutinefunction(function):
        return loop().run_until_complete(steps)
    try:  # Django refuses to work where an event loop runs
        steps.send(None)
    except StopIteration as stop:
        return stop.value


@cache
def loop():
    import uvloop  # not there where dbqueue alone is measured

    return uvloop.new_event_loop()


def backlog(count, job="noop"):
    """Write the jobs as fast as the peer can, and no faster than it should."""
    numbers = range(int(count))
    chunks = [numbers[i : i + CHUNK] for i in range(0, len(numbers), CHUNK)]
    run(SIDE.enqueue_many, job, chunks)


def four_queues(count):
    SIDE.enqueue_in_four_queues(range(int(count)))


def one_by_one(count):
    """Enqueue jobs one by one; return how many a second."""
    run(SIDE.enqueue, "noop", [0] * WARM_UP)
    moments = run(SIDE.enqueue, "noop", range(int(count)))
    return int(count) / (moments[-1] - moments[0])


def within(count):
    """Enqueue jobs one by one in one transaction; return how many a second."""
    run(SIDE.enqueue, "noop", [0] * WARM_UP)
    began = time.monotonic()
    with SIDE.begin():
        run(SIDE.enqueue, "noop", range(int(count)))
    return int(count) / (time.monotonic() - began)


def at_once(count, times=5):
    """Enqueue so many jobs in one call, some times; return how many jobs a second."""
    run(SIDE.enqueue_many, "noop", [[0]])
    moments = run(SIDE.enqueue_many, "noop", [range(int(count))] * times)
    return int(count) * times / (moments[-1] - moments[0])


def writes(single, many):
    """Enqueue so many one by one, then at once; return how many of each a second."""
    return {
        "enqueue, jobs/s": one_by_one(single),
        "enqueue_many, rows/s": at_once(many),
    }


def trickle(count):
    """Enqueue 10 to 20 jobs a second; return when each call came back."""
    function = getattr(SIDE, "enqueue_and_notify", SIDE.enqueue)
    run(function, "noop", [0])
    jobs.Stamps(os.environ["STAMPS"]).started(0, pause=0.01)  # the worker is ready
    return run(function, "noop", range(1, int(count) + 1), (0.05, 0.1))[1:]


def trickle_laned(count):
    """The same, each job in a lane of its own."""
    run(SIDE.enqueue, "thousand", [0])
    jobs.Stamps(os.environ["STAMPS"]).started(0, pause=0.01)
    return run(SIDE.enqueue, "thousand", range(1, int(count) + 1), (0.05, 0.1))[1:]


def tenant(name, first, count):
    """Enqueue jobs of a tenant; return when the call came back."""
    numbers, first = int(count), int(first)
    chunks = [min(CHUNK, numbers - at) for at in range(0, numbers, CHUNK)]
    for size in chunks:
        returned = SIDE.enqueue_shared(range(first, first + size), name)
        first += size
    return returned


def small_tenants(first, tenants, each):
    """Enqueue jobs of one tenant after the other; return when each call came back."""
    first, each, returned = int(first), int(each), []
    for number in range(int(tenants)):
        time.sleep(random.uniform(0.05, 0.1))
        returned.append(tenant(f"small {number}", first + number * each, each))
    return returned


def spaced(count):
    """Enqueue jobs 30 to 50 ms after the last one's start; return as trickle() does.

    The pauses are spread evenly, in a random order: chance alone would spread them
    unevenly over the interval of a worker that polls, and p50 with them.
    """
    count = int(count)
    stamps = jobs.Stamps(os.environ["STAMPS"])
    pauses = [0.03 + 0.02 * step / count for step in range(count)]
    random.shuffle(pauses)
    run(SIDE.enqueue, "noop", [0])
    returned = []
    for number, pause in enumerate(pauses, 1):
        time.sleep(max(0.0, stamps.started(number - 1) + pause - time.monotonic()))
        returned += run(SIDE.enqueue, "noop", [number])[1:]
    return returned


def schedules(count):
    SIDE.make(int(count))


def lateness(since, until):
    return SIDE.lateness(float(since), float(until))


def photos(count):
    return SIDE.photos(int(count))


def one_at_a_time(count):
    return SIDE.one_at_a_time(int(count))


def relay(count, **engine):
    return SIDE.relay(int(count), **engine)


def relay_one_at_a_time(count):
    return relay(count, batch=1, publishers=1)


if PEER.settings:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.settings"
    django.setup()
SIDE = import_module(f"{HERE}.{PEER.module}")
if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
