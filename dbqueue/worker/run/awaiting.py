"""What an async job waits for: its function, and whoever hears of it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

from dbqueue.exceptions import TaskTimeout
from dbqueue.jobs import events

T = TypeVar("T")


class Call:
    """The call of an async job's function: it may be cancelled as long as it runs."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._was_cancelled = False

    async def make(
        self, seconds: float | None, work: Callable[[], Coroutine[Any, Any, Any]]
    ) -> Any:
        self._task = asyncio.current_task()
        try:
            value = await within(seconds, work)
        finally:
            self._task = None
        if self._was_cancelled:
            await _absorb()
        return value

    def cancel(self) -> None:
        """Raise CancelledError where the function awaits; on its event loop."""
        if self._task is not None:
            self._was_cancelled = True
            self._task.cancel()


async def announcing(step: Callable[..., T], *args: Any, queries: bool = False) -> T:
    """Take a step off the event loop: receivers of its signals may use the ORM."""
    if not queries and events.are_only_logged():
        return step(*args)
    # What is being handled here is so there, too: receivers ask sys.exc_info().
    return await sync_to_async(step)(*args)


async def within(
    seconds: float | None, work: Callable[[], Coroutine[Any, Any, Any]]
) -> Any:
    if seconds is None:
        return await work()
    try:
        async with asyncio.timeout(seconds) as timeout:
            return await work()
    except TimeoutError as error:
        if timeout.expired():
            raise TaskTimeout(too_long(seconds)) from error
        raise


def too_long(seconds: float | None) -> str:
    return f"The job ran longer than {seconds} s."


async def _absorb() -> None:
    # It was cancelled when it had come to its return already.
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
