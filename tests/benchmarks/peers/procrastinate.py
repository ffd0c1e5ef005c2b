"""procrastinate: async tasks, which it runs twice as fast as others."""

import os

from procrastinate import App, PsycopgConnector

from tests.benchmarks import jobs

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.task(name="noop")
async def noop(number):
    return jobs.noop(number)


async def enqueue_many(job, numbers):
    async with app.open_async():
        await noop.batch_defer_async(*({"number": number} for number in numbers))
