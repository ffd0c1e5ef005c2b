"""Mules: functions whose calls run elsewhere, with their arguments, in their queue."""

from collections.abc import Callable
from inspect import signature
from typing import Any

from dbqueue.compat.spooler.declaring import is_installed
from dbqueue.compat.spooler.functions import Spooled
from dbqueue.compat.spooler.message import Request, queue_of


class Mule(Spooled):
    """A function that a call runs as a job in the queue of a mule, or of a farm."""

    is_spooled = False

    def __init__(self, f: Callable[..., Any], target: int | str = 0) -> None:
        name = target if isinstance(target, str) else f"mule{target or ''}"
        self.queue_name = queue_of(name)
        super().__init__(f, pass_arguments=True)

    def __call__(self, /, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]  # uWSGI's returns nothing
        """Write a job; unlike a mule's message, it has no limit of size, and stays."""
        signature(self.f).bind(*args, **kwargs)
        if is_installed():
            self.write(Request(queue_name=self.queue_name), args, kwargs)
        else:
            self.at_once(args, kwargs)
