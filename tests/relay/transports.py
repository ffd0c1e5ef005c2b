"""Transports for tests: one keeps its messages in memory, one is always away."""

from dbqueue.exceptions import MessageRefused
from dbqueue.relay import Transport


class MemoryTransport(Transport):
    """An engine in this process: the test runs the messages itself."""

    OPTIONS = frozenset({"room"})
    TRACKS = frozenset({"full", "result", "handoff"})
    published = []
    replies = []
    is_away = False

    def publish(self, messages):
        if self.is_away:
            raise ConnectionError("the engine is away")
        self.published += messages
        return [None] * len(messages)

    def depth(self):
        return len(self.published)

    def reply(self, texts):
        if self.is_away:
            raise ConnectionError("the engine is away")
        self.replies += texts

    def receive(self, write, seconds):
        self.health()
        texts = list(self.replies)
        if texts:
            write(texts)
        del self.replies[: len(texts)]
        return len(texts)

    def health(self):
        if self.is_away:
            raise ConnectionError("the engine is away")


class HalfTransport(MemoryTransport):
    """Confirms every other message, and has the others, too."""

    def publish(self, messages):
        super().publish(messages)
        lost = ConnectionError("the answer is lost")
        return [lost if number % 2 else None for number in range(len(messages))]


class PickyTransport(MemoryTransport):
    """Takes no messages of one task, whatever their jobs."""

    def publish(self, messages):
        found = [m.task == "tests.tasks.noop" for m in messages]
        taken = [
            m for m, is_refused in zip(messages, found, strict=True) if not is_refused
        ]
        super().publish(taken)
        return [MessageRefused("too large") if refused else None for refused in found]


class ShortTransport(MemoryTransport):
    """Does not keep to its contract: it answers for no message."""

    def publish(self, messages):
        return []


class FullTransport(MemoryTransport):
    """Is for workers with a connection to the database alone."""

    TRACKS = frozenset({"full"})
