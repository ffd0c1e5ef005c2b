"""The messages that wait in a broker: they are counted, and left there."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from dbqueue.compat.celery.conf import routes, source

_SECONDS = 5.0  # that a broker has to answer


def told(url: str | None, queues: Iterable[str]) -> Iterator[str]:
    """Yield in words what waits in the broker at the address."""
    if not url:
        yield "No broker is named, so none was asked for messages that wait."
        return
    shown = _without_password(url)
    try:
        kombu = import_module("kombu")
    except ImportError:
        yield (
            f"The broker at {shown} was not asked for messages that wait, as kombu is "
            "not installed. Look there before you switch it off."
        )
        return
    try:
        counts = _counts(kombu, url, queues)
    except Exception as error:  # of any broker's own library
        yield f"The broker at {shown} does not answer: {type(error).__name__}: {error}"
        return
    waiting = {name: count for name, count in counts.items() if count}
    if not waiting:
        yield f"No message waits in the broker at {shown}."
        return
    for name, count in waiting.items():
        yield f"{count} messages wait in {name!r} of the broker at {shown}."
    yield (
        "They are not imported. Let Celery's workers run until they are done, beside "
        "those of dbqueue: new ones go to dbqueue."
    )


def queues() -> list[str]:
    """Return the names of Celery's queues that the settings know."""
    found = {queue for _, queue in routes.named()}
    if not source.value("task_default_queue"):
        found.add("celery")
    for queue in source.value("task_queues") or ():
        found.add(str(getattr(queue, "name", queue)))
    return sorted(found)


def _counts(kombu: Any, url: str, queues: Iterable[str]) -> dict[str, int]:
    with kombu.Connection(url, connect_timeout=_SECONDS) as connection:
        connection.ensure_connection(max_retries=1, timeout=_SECONDS)
        found = {}
        for name in queues:
            with connection.channel() as channel:
                found[name] = _count(channel, name)
        with connection.channel() as channel:
            # What Redis holds for workers: among it, tasks with a countdown.
            client: Any = getattr(channel, "client", None)
            if hasattr(client, "hlen"):
                found["unacked"] = int(client.hlen("unacked"))
        return found


def _count(channel: Any, name: str) -> int:
    if hasattr(channel, "_size"):  # of a transport that is no AMQP
        return int(channel._size(name))
    try:
        return int(channel.queue_declare(name, passive=True).message_count)
    except Exception as error:
        if type(error).__name__ == "NotFound":
            return 0
        raise


def _without_password(url: str) -> str:
    beginning, at, rest = url.rpartition("@")
    scheme, slashes, _ = beginning.partition("://")
    return f"{scheme}{slashes}***@{rest}" if at else url
