"""What is asked of a database's driver, and of the entry of DATABASES."""

from collections.abc import Iterator
from typing import Any

from django.core import checks
from django.db.backends.base.base import BaseDatabaseWrapper


class Driver:
    """See Dialect, of which it is a part."""

    @staticmethod
    def check(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
        """Yield what is wrong with the entry of DATABASES."""
        yield from ()

    @staticmethod
    def prepare(connection: BaseDatabaseWrapper) -> None:
        """Let connections made from now on notice a lost network, and what jobs set."""

    @staticmethod
    def cancel(raw: Any, seconds: float) -> None:
        """Ask the server, `seconds` at most, to end what the connection waits for."""

    @staticmethod
    def abort(raw: Any) -> None:
        """End the driver's connection under whatever waits for its answer."""

    @staticmethod
    def watch_client(raw: Any, seconds: float) -> None:
        """Have the server look that often for its client, and cancel for one gone."""

    @staticmethod
    def driver_is_idle(raw: Any) -> bool:
        """Tell whether the driver's connection is open and in no transaction."""
        return True
