"""Progress for Django Ninja: schemas, and the routes of a job."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse

from dbqueue.exceptions import MissingExtra

try:
    from ninja import Router, Schema
except ImportError as error:
    raise MissingExtra(
        "dbqueue.progress.ninja needs Django Ninja, which is not installed. "
        "Run: pip install 'dbqueue-django[ninja]'"
    ) from error

from dbqueue.progress import links
from dbqueue.progress.seeing import access
from dbqueue.progress.views import calm
from dbqueue.tasks.results import JobResult


class ProgressOut(Schema):
    """How far a job says it is."""

    value: float
    total: float | None
    percent: int | None
    message: str
    seconds_left: float | None
    left: str


class FileOut(Schema):
    """A file that a job has attached."""

    name: str
    url: str
    size: int
    content_type: str
    expires_at: datetime


class JobStatusOut(Schema):
    """A job's status, as status.json has it."""

    status: str
    text: str
    finished: bool
    stopping: bool
    progress: ProgressOut | None
    position: int | None
    run_after: datetime | None
    error: str | None
    retry_after: int | None
    files: list[FileOut]
    result_url: str | None
    cancel_url: str | None

    @classmethod
    def of(cls, result: JobResult, *scopes: str) -> "JobStatusOut":
        """Return the status of a job; `scopes` are those of the token in addresses."""
        return cls(**links.status_of(links.seen_of(result, scopes)))


router = Router(tags=["jobs"])  # for api.add_router("/jobs/", router)


@router.get("/{key}/", response=JobStatusOut, url_name="job_status")
def status(request: HttpRequest, key: str, response: HttpResponse) -> Any:
    """Answer with the status of the job whose token, or id, is the key."""
    try:
        seen = access.see(request, key)
    except calm.AWAY:
        return calm.json(request)
    found = links.status_of(seen)
    for name, value in links.headers_of(found).items():
        response[name] = value
    return found
