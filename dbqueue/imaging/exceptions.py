"""What is raised about a picture, and about the sandbox that decodes it."""

from typing import Any

from dbqueue.exceptions import DbqueueError


class ContentRejected(DbqueueError, ValueError):
    """The content is not what the policy allows, for good.

    `code` names the reason for programs, `message` is for the person who uploaded it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.message), self.__dict__


class SandboxFailed(DbqueueError):
    """The process that decodes pictures failed for a reason other than the picture."""
