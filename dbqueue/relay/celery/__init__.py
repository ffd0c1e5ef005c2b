"""The engine Celery: messages for `celery -A proj worker`, whatever its broker."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from dbqueue.exceptions import MissingExtra
from dbqueue.relay.celery.receipts import Confirms, Receipts
from dbqueue.relay.exceptions import MessageRefused
from dbqueue.relay.messages import Message
from dbqueue.relay.transports import Transport

try:
    from celery import Celery, shared_task
    from celery.signals import worker_process_shutdown, worker_shutdown
    from kombu.exceptions import ChannelError

    from dbqueue.relay.celery import mailbox as mailboxes
    from dbqueue.relay.celery.mailbox import Mailbox
    from dbqueue.relay.celery.sending import Sender
except ImportError as error:
    raise MissingExtra(
        "dbqueue.relay.celery needs the package celery, which is not installed. Run: "
        "pip install 'dbqueue-django[celery]'"
    ) from error

# What runs a job; and what makes the call of one that is handed over: Celery's own
# settings say what becomes of its end.
TASK, CALL = "dbqueue.execute", "dbqueue.call"
# Seconds after a job's own timeout at which Celery ends the process that runs it.
HARD = 30.0
CONNECTING = 5.0  # seconds until a broker counts as away
ANSWERING = 4.0  # seconds until one that does not answer does
# Of AMQP: the method that publishes, and what is said of a message that is not taken.
PUBLISH, UNACCEPTABLE = (60, 40), 406
AT_ONCE = 500  # messages that are sent before their confirms are read
# Of kombu, which would try for ever, or only the first brokers of a cluster.
_ONCE = {"interval_start": 0.0, "interval_step": 0.0, "connect_retries_timeout": None}


@shared_task(name=TASK, ignore_result=True, acks_late=False, max_retries=0)  # type: ignore[untyped-decorator]  # Celery has no types
def execute(text: str) -> Any:
    """Run the job of a message; the row, and not Celery, knows of retries."""
    from dbqueue.relay.execution import execute as run

    return run(text)


@shared_task(name=CALL)  # type: ignore[untyped-decorator]  # as above
def call(text: str) -> Any:
    """Make the call of a message, as a task of Celery's own."""
    from dbqueue.relay.execution import execute as run

    return run(text)


def leave(**kwargs: Any) -> None:
    """Let go of what this process holds as a worker, as it ends."""
    from dbqueue.relay.execution import leave as end

    end()


worker_process_shutdown.connect(leave, weak=False)
worker_shutdown.connect(leave, weak=False)


class CeleryTransport(Transport):
    """Publishes to a queue of a Celery app.

    Options: `app`, the dotted path of the app, as "proj.celery:app"; `queue`, the queue
    of Celery, by default that of dbqueue; `replies`, that for replies to the relay, by
    default "dbqueue.replies." and the former.
    """

    OPTIONS = frozenset({"app", "queue", "replies"})
    TRACKS = frozenset({"full", "result", "handoff"})

    def __init__(self, queue: str, options: Mapping[str, Any]) -> None:
        super().__init__(queue, options)
        self._app = _app(queue, options.get("app"))
        self._name = _name(queue, "queue", options.get("queue", queue))
        replies = options.get("replies", f"dbqueue.replies.{self._name}")
        # RabbitMQ would confirm what it has no queue for, and drop it: `mandatory`.
        self._sending = {
            "queue": self._name,
            "retry": False,
            "mandatory": True,
            "timeout": ANSWERING,
        }
        conf = self._app.conf
        kind = conf.get("task_create_missing_queue_type")
        mailbox = mailboxes.queue(
            _name(queue, "replies", replies),
            kind or conf.get("task_default_queue_type"),
        )
        self._mailbox = Mailbox(self._app.amqp, self._connection, mailbox)
        self._mine = threading.local()
        self._all: list[Any] = []
        # Connections of an earlier one are not used again.
        self._generation = 0

    def publish(self, messages: Sequence[Message]) -> list[Exception | None]:
        errors = self._publish(messages)
        # RabbitMQ ends the channel of a message that it does not take, with all others
        # on it, and does not say which one it was.
        open = [place for place, error in enumerate(errors) if _is_of_one(error)]
        if len(messages) == 1 and open:
            return [MessageRefused(str(error)) for error in errors]
        half = (len(open) + 1) // 2
        for some in filter(None, (open[:half], open[half:])):
            found = self.publish([messages[place] for place in some])
            for place, error in zip(some, found, strict=True):
                errors[place] = error
        return errors

    def _publish(self, messages: Sequence[Message]) -> list[Exception | None]:
        receipts, error = Receipts(), None
        try:
            producer, receipts = self._line()
            receipts.begin()
            sender = Sender(self._app, producer, self._sending)
            # One alone at first: a broker that takes none gets no more of them.
            for few in (messages[:1], *_parts(messages[1:])):
                for message in few:
                    sender.send(message, _kind(message))
                    receipts.note()
                receipts.wait(ANSWERING)
        except Exception as raised:  # of kombu, and of any broker's library
            error = raised
        errors = receipts.errors(len(messages), error)
        if _is_of_one(error):
            self._mine.generation = None
        elif any(errors):
            self._forget()
        return errors

    def depth(self) -> int | None:
        try:
            channel = self._line()[0].channel
            return int(channel.queue_declare(self._name, passive=True).message_count)
        except Exception as error:  # of any broker's library
            self._forget()
            if isinstance(error, ChannelError):  # nobody has made the queue yet
                return 0
            raise

    def reply(self, texts: Sequence[str]) -> None:
        with self._letting_go():
            self._mailbox.put(texts, timeout=ANSWERING)

    def receive(self, write: Callable[[Sequence[str]], None], seconds: float) -> int:
        with self._letting_go():
            texts = self._mailbox.collect(seconds)
        if texts:
            # They stay here if it raises: a quorum queue drops what it gave too often.
            write(texts)
        with self._letting_go():
            self._mailbox.accept()
        return len(texts)

    @contextmanager
    def _letting_go(self) -> Iterator[None]:
        """Use the mailbox, and no connection again that has failed."""
        try:
            yield
        except Exception:  # of any broker's library
            for connection in self._mailbox.forget():
                self._release(connection)
            raise

    def health(self) -> None:
        self.depth()

    def close(self) -> None:
        connections, self._all = self._all, []
        self._mine = threading.local()
        self._mailbox.reset()
        for connection in connections:
            connection.release()

    def _connection(self, **more: Any) -> Any:
        connection = self._app.connection_for_write(
            connect_timeout=CONNECTING,
            transport_options={
                **self._app.conf.broker_transport_options,
                "confirm_publish": False,  # one at a time; see receipts
                "socket_timeout": ANSWERING,
                "read_timeout": ANSWERING,
                "write_timeout": ANSWERING,
                "socket_connect_timeout": CONNECTING,
                **_ONCE,
                **more,
            },
        )
        # Each broker once: the relay tries again itself.
        connection.transport_options["max_retries"] = max(0, len(connection.alt) - 1)
        self._all.append(connection)
        return connection

    def _line(self) -> tuple[Any, Receipts]:
        """Return what this thread publishes with, and what tells it what has come."""
        mine = self._mine
        if getattr(mine, "generation", None) != self._generation:
            self._release(getattr(mine, "connection", None))
            mine.generation = None
            mine.connection = connection = self._connection()
            producer = self._app.amqp.Producer(connection)
            receipts = Receipts()
            if connection.transport.driver_type == "amqp":
                # Without confirms, RabbitMQ may take a message and lose it.
                receipts = Confirms(connection, producer.channel)
            mine.line = producer, receipts
            mine.generation = self._generation
        return cast(tuple[Any, Receipts], mine.line)

    def _forget(self) -> None:
        """Have all threads connect anew: what broke one connection broke others."""
        self._generation += 1

    def _release(self, connection: Any) -> None:
        if connection in self._all:
            self._all.remove(connection)
            connection.release()


def _parts(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Split them: a broker waits that has more to say than somebody reads."""
    for start in range(0, len(messages), AT_ONCE):
        yield messages[start : start + AT_ONCE]


def _is_of_one(error: Exception | None) -> bool:
    """Tell whether RabbitMQ does not take one message, as one too large for it."""
    if not isinstance(error, ChannelError):
        return False
    method = getattr(error, "method_sig", None)
    return method == PUBLISH and getattr(error, "reply_code", None) == UNACCEPTABLE


def _kind(message: Message) -> dict[str, Any]:
    """Return which task of Celery runs the message, and its limits."""
    limit = message.timeout
    if message.track == "handoff":
        # Nobody else asks it to stop.
        limits = {} if limit is None else {"soft_time_limit": limit}
        return {"name": CALL, **limits, **_hard(limit)}
    return {"name": TASK, "ignore_result": True, **_hard(limit)}


def _hard(limit: float | None) -> dict[str, float]:
    return {} if limit is None else {"time_limit": limit + HARD}


def _name(queue: str, option: str, name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise ImproperlyConfigured(
            f"The engine of queue {queue!r} has the {option!r} {name!r}; it must be "
            "the name of a queue of Celery."
        )
    return name


def _app(queue: str, path: Any) -> Celery:
    what = f"The engine of queue {queue!r} has the 'app' {path!r}"
    if not isinstance(path, str) or not path:
        raise ImproperlyConfigured(
            f"{what}; it must be the path of a Celery app, such as 'proj.celery:app'."
        )
    try:
        app = import_string(path.replace(":", "."))
    except ImportError as error:
        raise ImproperlyConfigured(
            f"{what}, which cannot be imported: {error}"
        ) from error
    if not isinstance(app, Celery):
        raise ImproperlyConfigured(f"{what}, which is not a Celery app but {app!r}.")
    return app
