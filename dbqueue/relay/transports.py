"""What an engine has to be able to do."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.utils.module_loading import import_string

from dbqueue.relay.messages import Message


class Transport:
    """A way to an engine; a relay makes one for each queue that goes there.

    `options` are those of the engine in OPTIONS that are not the relay's own; their
    names have to be in OPTIONS of the class. To make one connects to nothing. It
    raises ImproperlyConfigured for options that cannot work. TRACKS are the tracks that
    it can do: "full" and "handoff" want no more than publish(), whose messages have the
    call in them with "handoff", and whose `expires` may be None then: as long as the
    engine has them. "result" wants reply() and receive() beside.
    """

    OPTIONS: ClassVar[frozenset[str]] = frozenset()
    TRACKS: ClassVar[frozenset[str]] = frozenset({"full", "handoff"})

    def __init__(self, queue: str, options: Mapping[str, Any]) -> None:
        self.queue = queue
        self.options = options

    def publish(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Publish the messages; return, for each, None once the engine has it for sure.

        Called from several threads at once, and must return within seconds. An
        exception in the place of a message says that it may be lost; one that is raised
        says so of all. MessageRefused in its place says that the engine takes others.
        """
        raise NotImplementedError

    def depth(self) -> int | None:
        """Return how many messages wait in the engine; None if it cannot tell."""
        return None

    def start(self, text: str) -> Any:
        """Run the job of a message in this process; to be called by the engine.

        Return, and raise, what dbqueue.relay.execution.execute() does.
        """
        # By its path: only workers of engines need it, and it needs all of the worker.
        return import_string("dbqueue.relay.execution.execute")(text)

    def reply(self, texts: Sequence[str]) -> None:
        """Send these to the relay; to be called in the engine, from any thread.

        Return once they are kept for sure, and raise otherwise: some may come then.
        """
        raise NotImplementedError

    def receive(self, write: Callable[[Sequence[str]], None], seconds: float) -> int:
        """Have the replies written that come within `seconds`; return how many.

        Called by one thread of each relay. Take them from the engine only once
        write() has returned: what it raises is raised, and they come again, as those
        do of a relay that has died. That may be more than once, and in any order. Raise
        if the engine does not answer: that nothing comes counts against workers.
        """
        raise NotImplementedError

    def health(self) -> None:
        """Raise whatever is raised while the engine cannot be reached."""

    def close(self) -> None:
        """Let go of connections; publish() makes new ones."""
