"""Files that a job has attached, to download."""

import logging
from collections.abc import Iterator
from typing import Any

from django.core.files.storage import storages
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from dbqueue.progress.models import FileState, JobFile
from dbqueue.progress.seeing.access import see
from dbqueue.progress.views import calm
from dbqueue.uploads.display.exposure import SAFE, in_a_thread

logger = logging.getLogger(__name__)


@require_safe
@calm.calm(calm.page)
def download(request: HttpRequest, key: str, name: str) -> Any:
    """Answer with a file, to save; with 410 once its time is over."""
    seen = see(request, key, "result")
    files = JobFile.objects.using(seen.database).of(seen.ticket.id)
    file = files.filter(name=name).order_by("pk").last()
    if file is None:
        raise Http404("No such file.")
    if file.state == FileState.GONE or file.is_over:  # type: ignore[attr-defined]  # of()
        return _gone()
    return _sent(request, file)


def _sent(request: HttpRequest, file: JobFile) -> HttpResponseBase:
    try:
        opened = storages[file.storage].open(file.stored_as)
    except FileNotFoundError:
        logger.warning("The file of a job is gone name=%s", file.stored_as)
        return _gone()
    pieces: Iterator[bytes] = opened.chunks()
    response = StreamingHttpResponse(
        # Over ASGI, Django would collect all that a plain iterator yields.
        in_a_thread(pieces) if isinstance(request, ASGIRequest) else pieces,
        content_type=file.content_type,
        headers=SAFE,
    )
    response._resource_closers.append(opened.close)  # type: ignore[attr-defined]
    response["Content-Disposition"] = content_disposition_header(True, file.name)
    response["Content-Length"] = str(file.size)
    return response


def _gone() -> HttpResponse:
    return HttpResponse(render_to_string("dbqueue/progress/gone.html"), status=410)
