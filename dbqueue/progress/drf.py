"""Progress for Django REST framework: a serializer, a view, and an answer."""

from typing import Any

from dbqueue.exceptions import MissingExtra

try:
    from rest_framework import serializers
    from rest_framework.request import Request
    from rest_framework.response import Response
    from rest_framework.views import APIView
except ImportError as error:
    raise MissingExtra(
        "dbqueue.progress.drf needs Django REST framework, which is not installed. "
        "Run: pip install 'dbqueue-django[drf]'"
    ) from error

from dbqueue.progress import links
from dbqueue.progress.seeing import access
from dbqueue.progress.views import calm
from dbqueue.tasks.results import JobResult


class ProgressSerializer(serializers.Serializer):  # type: ignore[misc]  # untyped
    """How far a job says it is."""

    value = serializers.FloatField()
    total = serializers.FloatField(allow_null=True)
    percent = serializers.IntegerField(allow_null=True)
    message = serializers.CharField(allow_blank=True)
    seconds_left = serializers.FloatField(allow_null=True)
    left = serializers.CharField(allow_blank=True)


class FileSerializer(serializers.Serializer):  # type: ignore[misc]  # untyped
    """A file that a job has attached."""

    name = serializers.CharField()
    url = serializers.CharField()
    size = serializers.IntegerField()
    content_type = serializers.CharField()
    expires_at = serializers.DateTimeField()


class JobStatusSerializer(serializers.Serializer):  # type: ignore[misc]  # untyped
    """A job's status, as status.json has it; give it a JobResult, or a status."""

    status = serializers.CharField()
    text = serializers.CharField()
    finished = serializers.BooleanField()
    stopping = serializers.BooleanField()
    progress = ProgressSerializer(allow_null=True)
    position = serializers.IntegerField(allow_null=True)
    run_after = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(allow_null=True)
    retry_after = serializers.IntegerField(allow_null=True)
    files = FileSerializer(many=True)
    result_url = serializers.CharField(allow_null=True)
    cancel_url = serializers.CharField(allow_null=True)

    def to_representation(self, instance: Any) -> Any:
        if isinstance(instance, JobResult):
            instance = links.status_of(links.seen_of(instance))
        return super().to_representation(instance)


class JobStatusView(APIView):  # type: ignore[misc]  # untyped
    """The status of the job whose token, or id, is `key` in the URL.

    Permissions and throttles are those of the view; whose job it is, is told by the
    token or by OWNS of PROGRESS. Answers 304, 404 and 503 as status.json does.
    """

    serializer_class = JobStatusSerializer

    def get(self, request: Request, key: str) -> Any:
        """Answer with the status."""
        try:
            seen = access.see(request, key)
        except calm.AWAY:
            return calm.json(request)
        status = links.status_of(seen)
        headers = links.headers_of(status)
        return Response(JobStatusSerializer(status).data, headers=headers)


class AcceptedResponse(Response):  # type: ignore[misc]  # untyped
    """202 with the status of a job, where to ask again, and when.

    `scopes` are those of the token in the address; see JobResult.public_token().
    """

    def __init__(self, request: Request, result: JobResult, *scopes: str) -> None:
        seen = links.seen_of(result, scopes)
        status = links.status_of(seen)
        place = request.build_absolute_uri(links.address("status", seen.key))
        headers = {**links.headers_of(status), "Location": place}
        super().__init__(JobStatusSerializer(status).data, status=202, headers=headers)
