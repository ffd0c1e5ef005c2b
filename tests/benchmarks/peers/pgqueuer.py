"""pgqueuer on asyncpg and uvloop.

python -m tests.benchmarks.peers.pgqueuer BATCH | install
"""

import asyncio
import os
import signal
import sys

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, Queries, QueueManager

from tests.benchmarks import jobs

_queries = None


async def queries():
    global _queries
    if _queries is None:
        connection = await asyncpg.connect(os.environ["DATABASE_URL"])
        _queries = Queries(AsyncpgDriver(connection))
    return _queries


async def enqueue(job, number):
    await (await queries()).enqueue(job, b"%d" % number)


async def enqueue_many(job, numbers):
    payloads = [b"%d" % number for number in numbers]
    await (await queries()).enqueue(
        [job] * len(payloads), payloads, [0] * len(payloads)
    )


async def install():
    await (await queries()).install()


async def work(batch):
    manager = QueueManager(await queries())

    @manager.entrypoint("noop")
    async def noop(job):
        jobs.noop(int(job.payload))

    @manager.entrypoint("ten", concurrency_limit=10)
    async def ten(job):
        jobs.noop(int(job.payload))

    @manager.entrypoint("asleep")
    async def asleep(job):
        await jobs.asleep(int(job.payload))

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, manager.shutdown.set)
    await manager.run(batch_size=batch)


if __name__ == "__main__":
    uvloop.run(install() if sys.argv[1] == "install" else work(int(sys.argv[1])))
