"""Server-sent events: each change of a job, as it is seen, to all who watch it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation
from django.views.decorators.http import require_GET

from dbqueue.progress.links import PRIVATE, status_of
from dbqueue.progress.seeing import hub
from dbqueue.progress.seeing.access import Seen, see
from dbqueue.progress.views import calm

RETRY = 3000  # milliseconds until a browser asks for the stream again
SILENCE = 15.0  # seconds until a comment tells proxies that the stream is alive
LENGTH = 60.0  # seconds until a stream ends; the browser asks for the next
MOST = 1000  # streams of a process
HEADERS = {**PRIVATE, "X-Accel-Buffering": "no"}  # for nginx


@calm.outside_of_transactions
@require_GET
async def events(request: HttpRequest, key: str) -> HttpResponseBase:
    """Stream the status of a job until its end; under WSGI, answer 406."""
    if not isinstance(request, ASGIRequest):
        # It would take a thread of the server for each viewer.
        return HttpResponse("Events need an ASGI server.", status=406)
    try:
        seen = await sync_to_async(see)(request, key)
    except calm.AWAY:
        return calm.json(request)
    watching = hub.of_this_loop()
    if watching.viewers >= MOST:
        return calm.json(request)
    language = translation.get_language()
    return StreamingHttpResponse(
        _stream(watching, seen, language),
        content_type="text/event-stream",
        headers=HEADERS,
    )


async def _stream(
    watching: hub.Hub, seen: Seen, language: str | None
) -> AsyncIterator[str]:
    yield f"retry: {RETRY}\n\n"
    deadline = asyncio.get_running_loop().time() + LENGTH
    async with watching.viewer(seen.database, seen.ticket.id, seen.snapshot) as viewer:
        while True:
            snapshot = viewer.snapshot  # which may be another one after the yield
            yield _message(snapshot, seen, language)
            if snapshot is hub.GONE or (snapshot and snapshot.is_finished):
                return
            while not await viewer.changed(SILENCE):
                if asyncio.get_running_loop().time() >= deadline:
                    return
                yield ":\n\n"


def _message(snapshot: Any, seen: Seen, language: str | None) -> str:
    with translation.override(language):
        if snapshot is hub.GONE:
            return "event: gone\ndata:\n\n"
        if snapshot is None:
            return f"event: away\ndata: {json.dumps(calm.told())}\n\n"
        status = status_of(seen._replace(snapshot=snapshot))
    return f"data: {json.dumps(status)}\n\n"
