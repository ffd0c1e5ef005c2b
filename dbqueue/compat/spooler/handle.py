"""What a call of a spool function returns."""

from typing import Any
from uuid import UUID

from dbqueue import jobs
from dbqueue.tasks.moves import Moved

BEGINNING = b"dbqueue:"


class SpoolHandle(bytes):
    """The name of a spooled job: bytes, as uWSGI's path of a file is."""

    @property
    def id(self) -> str:
        """The id of the job; "" of a function that was run at once."""
        return self.removeprefix(BEGINNING).decode() if self.is_queued else ""

    @property
    def is_queued(self) -> bool:
        return self.startswith(BEGINNING)

    @property
    def job(self) -> Any:
        """The JobResult. Raises TaskResultDoesNotExist if it is forgotten."""
        return jobs.get(self.id)

    def cancel(self) -> Moved:
        """End the job as CANCELLED; in the place of os.unlink() of the file."""
        return jobs.cancel(self.id)


INLINE = SpoolHandle(b"inline")


def of_job(id: Any) -> SpoolHandle:
    return SpoolHandle(BEGINNING + str(id).encode())


def id_of(name: Any) -> str:
    """Return the id of the job that a handle, or its text, names; "" for others."""
    text = name.encode() if isinstance(name, str) else bytes(name)
    try:
        return str(UUID(SpoolHandle(text).id))
    except ValueError:
        return ""
