"""procrastinate: async tasks, which it runs twice as fast as others."""

import os

from procrastinate import App, PsycopgConnector

from tests.benchmarks import jobs

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.task(name="noop")
async def noop(number):
    return jobs.noop(number)


async def enqueue_many(job, numbers):
    """Write the jobs; those of "thousand" with one of a thousand locks each."""
    numbers = list(numbers)
    calls = {"": numbers}
    if job == "thousand":
        calls = {f"lock {n}": numbers[n::1000] for n in range(1000)}
    async with app.open_async():
        for lock, some in calls.items():
            if some:
                locked = noop.configure(lock=lock or None)
                await locked.batch_defer_async(*({"number": n} for n in some))
