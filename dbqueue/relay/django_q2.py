"""The engine django-q2: packages for `manage.py qcluster`, through Redis."""

import math
import os
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.util import Finalize
from typing import Any, ClassVar

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from dbqueue.exceptions import MissingExtra
from dbqueue.relay.messages import Message
from dbqueue.relay.transports import Transport

try:
    from django_q.brokers.redis_broker import Redis
    from django_q.conf import Conf
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as error:
    raise MissingExtra(
        "dbqueue.relay.django_q2 needs the packages django-q2 and redis, and one is "
        "not installed. Run: pip install 'dbqueue-django[django-q2]' redis"
    ) from error

EXECUTE = "dbqueue.relay.django_q2.execute"
# Seconds after a job's own timeout at which django-q2 ends the process that runs it.
HARD = 30.0
CONNECTING = 5.0  # seconds until a Redis counts as away
ANSWERING = 4.0  # seconds until one that does not answer does
UNLIMITED = -1  # as a timeout of django-q2
# What Q_CLUSTER says of other brokers than Redis, as django-q2 looks for them.
_OTHERS = ("broker_class", "iron_mq", "sqs", "orm", "mongo")

_left: set[int] = set()  # processes that will leave


def execute(text: str) -> str:
    """Run the job of a message; the row, and not django-q2, knows of retries."""
    from dbqueue.relay.execution import execute as run

    _leave_at_end()
    return str(run(text))


class DjangoQTransport(Transport):
    """Publishes packages to a cluster of django-q2 whose broker is Redis.

    Options: `cluster`, the name of the cluster, by default that of Q_CLUSTER.
    """

    OPTIONS = frozenset({"cluster"})
    TRACKS: ClassVar[frozenset[str]] = frozenset({"full"})

    def __init__(self, queue: str, options: Mapping[str, Any]) -> None:
        super().__init__(queue, options)
        self._cluster = options.get("cluster", Conf.CLUSTER_NAME)
        if not isinstance(self._cluster, str) or not self._cluster:
            raise ImproperlyConfigured(
                f"The engine of queue {queue!r} has the 'cluster' {self._cluster!r}; "
                "it must be the name of a cluster of django-q2."
            )
        _demand_redis(queue)
        self._async_task = import_string("django_q.tasks.async_task")
        self._broker: Any = None
        self._lock = threading.Lock()  # publishers all ask for it at first

    def publish(self, messages: Sequence[Message]) -> list[Exception | None]:
        errors: list[Exception | None] = []
        for message in messages:
            # Each would wait as long for a Redis that does not answer.
            before = errors[-1] if errors else None
            errors.append(before or self._publish(message))
        return errors

    def depth(self) -> int | None:
        return int(self._redis().queue_size())

    def health(self) -> None:
        self._redis().ping()

    def close(self) -> None:
        with self._lock:
            broker, self._broker = self._broker, None
        if broker is not None:
            broker.connection.connection_pool.disconnect()

    def _publish(self, message: Message) -> Exception | None:
        try:
            self._async_task(
                EXECUTE,
                message.as_json(),
                task_name=message.name,
                timeout=_limit(message.timeout),
                broker=self._redis(),
                # What a project's Q_CLUSTER may have otherwise.
                **{"save": False, "cached": False, "sync": False, "ack_failure": True},
            )
        except Exception as error:  # of redis, and of receivers of pre_enqueue
            return error
        return None

    def _redis(self) -> Any:
        with self._lock:
            if self._broker is None:
                self._broker = self._make_broker()
            return self._broker

    def _make_broker(self) -> Any:
        broker = Redis(self._cluster)
        # redis itself waits for ever, and tries again: the relay does that.
        broker.connection.connection_pool.connection_kwargs.update(
            socket_connect_timeout=CONNECTING,
            socket_timeout=ANSWERING,
            retry=Retry(NoBackoff(), 0),
        )
        return broker


def _limit(timeout: float | None) -> int:
    """Return a timeout for django-q2, which has whole seconds."""
    return UNLIMITED if timeout is None else math.ceil(timeout + HARD)


def _demand_redis(queue: str) -> None:
    what = f"The engine of queue {queue!r} is a cluster of django-q2"
    if not apps.is_installed("django_q"):
        raise ImproperlyConfigured(
            f"{what}, and 'django_q' is not in INSTALLED_APPS. Add it."
        )
    for name in _OTHERS:
        if said := getattr(Conf, name.upper()):
            raise ImproperlyConfigured(
                f"{what}, and Q_CLUSTER[{name!r}] is {said!r}. A relay reaches "
                "clusters through Redis alone: give Q_CLUSTER 'redis' in its place."
            )


def _leave_at_end() -> None:
    """Let go of what this process holds as a worker, as it ends; see tracks.hosting."""
    if os.getpid() not in _left:
        _left.add(os.getpid())
        Finalize(None, _leave, exitpriority=1)


def _leave() -> None:
    from dbqueue.relay.tracks.hosting import leave

    leave()
