"""Server-sent events: each change, once, to all who watch."""

import asyncio
import json
import threading
from contextlib import suppress

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, connections
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext

from dbqueue.progress.seeing import hub, looks
from dbqueue.progress.views import stream
from dbqueue.testing import run_jobs
from tests.progress import tasks
from tests.tasks import noop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(hub, "INTERVAL", 0.02)


def address(result):
    return f"/jobs/{result.public_token()}/events/"


class Stream:
    """What a browser makes of a stream."""

    def __init__(self, response):
        self.response = response
        self.pieces = aiter(response)

    async def next(self):
        """Return the next message: its event, and its data."""
        async with asyncio.timeout(30):
            async for piece in self.pieces:
                fields = dict(
                    line.split(": ", 1)
                    for line in piece.decode().splitlines()
                    if ": " in line
                )
                if "data" in fields or "event" in fields:
                    data = json.loads(fields.get("data", "null"))
                    return fields.get("event", "message"), data
        return "end", None

    async def last(self):
        """Return the data of the last message, when the stream has ended."""
        data = None
        while (message := await self.next())[0] == "message":
            data = message[1]
        return data

    async def leave(self):
        """Go away while nothing happens, as the server notices it."""
        waiting = asyncio.create_task(self.next())
        await asyncio.sleep(0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting


async def watch(result):
    return Stream(await AsyncClient().get(address(result)))


def test_each_change_is_sent_until_the_end(worker):
    result = tasks.say.enqueue(3, 10)

    async def follow():
        seen = await watch(result)
        assert seen.response["Content-Type"] == "text/event-stream"
        assert seen.response["Cache-Control"] == "private, no-store"
        assert seen.response["X-Accel-Buffering"] == "no"
        told = [await seen.next()]
        (job,) = await sync_to_async(worker.claim)()
        told.append(await seen.next())
        await sync_to_async(worker.run)(job)
        told.append(await seen.next())
        await sync_to_async(worker.finish)(job)
        told.append(await seen.next())
        return told, await seen.next()

    told, end = async_to_sync(follow)()

    statuses = [data["status"] for _, data in told]
    assert statuses == ["waiting", "running", "running", "succeeded"]
    assert told[2][1]["progress"]["percent"] == 30
    assert end == ("end", None)


def test_all_who_watch_cost_one_look():
    result = noop.enqueue()
    looked, names = [], []

    async def follow():
        streams = [await watch(result) for _ in range(10)]
        for seen in streams:
            await seen.next()
        known = hub.of_this_loop()
        assert known.viewers == 10
        await sync_to_async(run_jobs)()
        ends = [await seen.last() for seen in streams]
        assert known.viewers == 0
        return ends

    look_at = looks.look_at

    def counted(*args, **kwargs):
        looked.append(len(args[1]))
        names.append(threading.current_thread().name)
        return look_at(*args, **kwargs)

    looks.look_at, before = counted, looks.look_at
    try:
        ends = async_to_sync(follow)()
    finally:
        looks.look_at = before

    assert [data["status"] for data in ends] == ["succeeded"] * 10
    # Each looks when it begins, in its request; then a thread looks for all of them.
    assert max(looked) == 1
    assert set(names) - {"MainThread"} == {"dbqueue-progress_0"}


def test_nobody_looks_when_nobody_watches():
    result = noop.enqueue()

    async def follow():
        seen = await watch(result)
        await seen.next()
        known = hub.of_this_loop()
        looking = known._looking
        await seen.leave()
        await asyncio.wait_for(looking, 30)
        return known

    known = async_to_sync(follow)()

    assert known.viewers == 0
    assert known._looking is None


def test_a_job_that_is_gone_ends_the_stream():
    result = noop.enqueue()

    async def follow():
        seen = await watch(result)
        await seen.next()
        from dbqueue.models import Job

        await Job.objects.all().adelete()
        return await seen.next(), await seen.next()

    gone, end = async_to_sync(follow)()

    assert gone[0] == "gone"
    assert end == ("end", None)


def test_a_database_that_goes_away_is_told_and_comes_back(monkeypatch):
    from django.db import OperationalError

    result = noop.enqueue()
    look_at = looks.look_at

    def refuse(*args, **kwargs):
        raise OperationalError("connection refused")

    async def follow():
        seen = await watch(result)
        first = await seen.next()
        monkeypatch.setattr(looks, "look_at", refuse)
        away = await seen.next()
        monkeypatch.setattr(looks, "look_at", look_at)
        return first, away, await seen.next()

    first, away, back = async_to_sync(follow)()

    assert away[0] == "away"
    assert away[1]["text"] == "We cannot look just now. Trying again …"
    assert back[0] == "message"
    assert back[1]["status"] == first[1]["status"] == "waiting"


def test_a_silent_stream_says_that_it_is_alive_and_ends_after_a_while(monkeypatch):
    monkeypatch.setattr(stream, "SILENCE", 0.05)
    monkeypatch.setattr(stream, "LENGTH", 0.2)
    result = noop.enqueue()

    async def follow():
        response = await AsyncClient().get(address(result))
        return [piece async for piece in response]

    pieces = async_to_sync(follow)()

    assert pieces[0] == b"retry: 3000\n\n"
    assert b":\n\n" in pieces


def test_a_process_has_so_many_streams_and_no_more(monkeypatch):
    monkeypatch.setattr(stream, "MOST", 1)
    result = noop.enqueue()

    async def follow():
        seen = await watch(result)
        await seen.next()
        return await AsyncClient().get(address(result))

    assert async_to_sync(follow)().status_code == 503


def test_under_wsgi_there_are_no_events(client):
    assert client.get(address(noop.enqueue())).status_code == 406


def test_what_is_not_for_this_viewer_is_not_found():
    async def ask():
        return await AsyncClient().get("/jobs/nonsense/events/")

    assert async_to_sync(ask)().status_code == 404


def test_a_look_at_many_jobs_takes_a_few_queries():
    ids = [noop.enqueue().id for _ in range(20)]
    from uuid import UUID

    with CaptureQueriesContext(connection) as queries:
        found = looks.look_at("default", [UUID(id) for id in ids], placed=[])

    assert len(found) == 20
    assert len(queries) == 1


def test_the_thread_that_looks_closes_its_connection():
    result = noop.enqueue()
    closed = []
    close_all = connections.close_all

    async def follow():
        seen = await watch(result)
        await seen.next()
        looking = hub.of_this_loop()._looking
        await seen.leave()
        await asyncio.wait_for(looking, 30)
        await asyncio.to_thread(lambda: None)

    def noted():
        closed.append(threading.current_thread().name)
        close_all()

    connections.close_all, before = noted, connections.close_all
    try:
        async_to_sync(follow)()
        deadline = threading.Event()
        for _ in range(500):
            if closed:
                break
            deadline.wait(0.01)
    finally:
        connections.close_all = before

    assert any("dbqueue-progress" in name for name in closed)
