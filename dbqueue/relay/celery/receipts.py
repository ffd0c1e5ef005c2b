"""Which of the messages that were sent a broker has for sure."""

from typing import Any


class Receipts:
    """Of a broker that has a message as soon as it was sent, as Redis."""

    def __init__(self) -> None:
        self._answers: list[bool | None] = []

    def begin(self) -> None:
        """Begin with messages that have nothing to do with those before."""
        self._answers = []

    def note(self) -> None:
        """Note that one more was sent."""
        self._answers.append(True)

    def wait(self, seconds: float) -> None:
        """Wait for the receipts of all that was sent."""

    def errors(self, count: int, error: Exception | None) -> list[Exception | None]:
        """Return None for each of so many that has come, for the others the error."""
        lost = error or ConnectionRefusedError("the broker has refused the message")
        answers = self._answers[:count] + [None] * (count - len(self._answers))
        return [None if answer else lost for answer in answers]


class Confirms(Receipts):
    """Those of RabbitMQ: it confirms many messages at once, in any order.

    It numbers what comes on a channel from 1, and refuses what a queue has no room for.
    """

    def __init__(self, connection: Any, channel: Any) -> None:
        super().__init__()
        self._connection = connection
        self._before = 0  # messages on the channel before those that are sent now
        self._open: set[int] = set()
        channel.events["basic_ack"].add(self._acknowledged)
        channel.events["basic_nack"].add(self._refused)
        channel.confirm_select()

    def begin(self) -> None:
        self._before += len(self._answers)
        self._answers = []

    def note(self) -> None:
        self._answers.append(None)
        self._open.add(self._before + len(self._answers))

    def wait(self, seconds: float) -> None:
        """Wait until none is open; raise TimeoutError after so many silent seconds."""
        while self._open:
            try:
                self._connection.drain_events(timeout=seconds)
            except TimeoutError as error:
                raise TimeoutError(f"nothing was confirmed in {seconds} s") from error

    def _acknowledged(self, number: int, multiple: bool) -> None:
        self._answer(number, multiple, True)

    def _refused(self, number: int, multiple: bool) -> None:
        self._answer(number, multiple, False)

    def _answer(self, number: int, multiple: bool, has_come: bool) -> None:
        numbers = {n for n in self._open if n <= number} if multiple else {number}
        for one in numbers & self._open:
            self._answers[one - self._before - 1] = has_come
        self._open -= numbers
