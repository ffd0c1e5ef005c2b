"""What is raised about a picture, and about the sandbox that decodes it."""

from dbqueue.exceptions import DbqueueError


class ContentRejected(DbqueueError, ValueError):
    """The content is not what the policy allows, for good.

    `code` names the reason for programs, `message` tells the person who uploaded it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class SandboxFailed(DbqueueError):
    """The process that decodes pictures could not work; the picture is not to blame."""
