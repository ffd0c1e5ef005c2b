"""The hook `uwsgi.spooler`, for messages that name no function."""

from importlib import import_module
from typing import Any

from dbqueue.compat.spooler.functions import Raw
from dbqueue.exceptions import DbqueueError


class NoSpoolerHook(DbqueueError):
    """A message names no function, and no module that workers import sets the hook."""


def spooler(message: dict[str, Any]) -> Any:
    """Hand a message to the hook: its values are bytes there."""
    function = import_module("dbqueue.compat.uwsgi").spooler
    if function is None:
        raise NoSpoolerHook(
            "A message names no function by ud_spool_func, and uwsgi.spooler is not "
            "set in this worker. Set it in a module that workers import, as `tasks`."
        )
    own = ("ud_spool_func", "ud_spool_ret")
    return function(
        {
            key: value if isinstance(value, bytes) else str(value).encode()
            for key, value in message.items()
            if key not in own
        }
    )


unnamed = Raw(spooler)
