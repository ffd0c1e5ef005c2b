"""Notices that the file of a database was replaced, as by a restore.

SQLite goes on with the old one for as long as it is open, whoever else has the new one.
"""

import logging
from typing import Any

from django.db import OperationalError

from dbqueue import dialects
from dbqueue.dialects.session import file_at

logger = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two looks


class Files:
    """The files that this process works on; its threads change to new ones together."""

    def __init__(self) -> None:
        self.generation = 0  # counts how often one was replaced
        self._known: dict[str, tuple[str, Any]] = {}  # by alias: its path and file

    def note(self, connection: Any) -> None:
        """Note which file was there when this process first opened it."""
        path = dialects.kind_of(connection).session.path(connection)
        if path is not None:
            self._known.setdefault(connection.alias, (path, file_at(path)))

    def forget(self) -> None:
        """Know nothing: the connections of this process are closed."""
        self._known.clear()

    def look(self, alias: str) -> bool:
        """Return whether the file behind the alias was replaced since the last look.

        Raises OperationalError while there is none, as whoever connects would make one.
        """
        was = self.generation
        for name, (path, known) in list(self._known.items()):
            present = file_at(path)
            if present is None and name == alias:
                raise OperationalError(
                    f"The file of database {alias!r} is gone. Put one in its place."
                )
            if present != known and present is not None:
                logger.warning(
                    "The file of database %r was replaced; going on with the new one",
                    name,
                )
                self._known[name] = (path, present)
                self.generation += 1
        return self.generation != was


files = Files()


def file_of(connection: Any) -> Any:
    """Return what identifies the file that is at the database's path now, if any."""
    return file_at(dialects.kind_of(connection).session.path(connection))
