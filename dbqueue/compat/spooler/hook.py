"""The hook `uwsgi.spooler`, for messages that name no function."""

from importlib import import_module
from typing import Any

from dbqueue.compat.spooler.functions import Raw
from dbqueue.compat.spooler.message import raw
from dbqueue.exceptions import DbqueueError


class NoSpoolerHook(DbqueueError):
    """A message names no function, and no module that workers import sets the hook."""


def spooler(message: dict[str, Any]) -> Any:
    """Hand a message to the hook, as bytes."""
    function = import_module("dbqueue.compat.uwsgi").spooler
    if function is None:
        raise NoSpoolerHook(
            "A message names no function by ud_spool_func, and uwsgi.spooler is not "
            "set in this worker. Set it in a module that workers import, as `tasks`."
        )
    own = ("ud_spool_func", "ud_spool_ret")
    return function(raw({k: v for k, v in message.items() if k not in own}))


unnamed = Raw(spooler)
