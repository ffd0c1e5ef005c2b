"""The broker of django-q2's clusters whose packages are rows of dbqueue.

django-q2 makes one in each of a cluster's processes, and in each call of async_task().
"""

import logging
import os
import socket
import time
from functools import cached_property
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django_q.brokers import Broker as _Broker
from django_q.conf import Conf

from dbqueue import dialects
from dbqueue.compat.django_q2.deliveries import Delivery, lease, renew
from dbqueue.compat.django_q2.ear import Ear
from dbqueue.compat.django_q2.store import Store, Taken, database

logger = logging.getLogger(__name__)

# Seconds for which an acknowledgement is tried while the database is away, or while
# somebody else writes to SQLite, and between two tries.
PATIENCE, PAUSE = 60.0, 0.5


class Broker(_Broker):  # type: ignore[misc]  # django-q2 has no types
    """Keeps packages in dbqueue's database: in order, leased, and fenced.

    Its cluster has a package for Q_CLUSTER["retry"] seconds by the database's clock,
    counted anew from when a worker begins it, and then another one may be given it.
    """

    _ear: Ear | None = None
    # Whether the next look comes soon, for what was not announced again so soon.
    _soon = False

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        _listen_for_starts()

    @cached_property
    def store(self) -> Store:
        return Store(database())

    @staticmethod
    def get_connection(list_key: str | None = None) -> None:
        """Return nothing: the connection is Django's, of whichever thread asks."""

    def enqueue(self, task: str) -> int:
        """Keep a package, in the caller's transaction. Raises MigrationsNotApplied."""
        return self.store.put(self._cluster, task)

    def dequeue(self) -> list[tuple[str, str]] | None:
        """Take the next packages, Q_CLUSTER["bulk"] at most.

        Without any, wait for news, Q_CLUSTER["poll"] seconds or longer, and return
        None.
        """
        packages = [
            (str(Delivery.begun(taken.id, taken.attempt)), taken.payload)
            for taken in self._taken()
            if not self._is_poison(taken)
        ]
        if not packages:
            self._wait()
        self._soon = bool(packages)
        return packages or None

    def acknowledge(self, task_id: Any) -> None:
        """Delete a package that is done, unless another cluster was given it since."""
        one = Delivery.read(task_id)
        if one.attempt is None:
            self.delete(task_id)
        elif not self._patiently(self.store.acknowledge, one.id, one.attempt):
            self._note_late(one)

    def fail(self, task_id: Any) -> None:
        """Give the package to nobody any more; it stays in the admin.

        django-q2 calls it for what it cannot open, as after a change of SECRET_KEY.
        """
        one = Delivery.read(task_id)
        if one.attempt is None:
            self.delete(task_id)
        elif self._patiently(self.store.refuse, one.id, one.attempt):
            logger.error("Package refused id=%s cluster=%s", one.id, self._cluster)

    def delete(self, task_id: Any) -> None:
        """Delete a package, by what enqueue() or dequeue() has given for it."""
        one = Delivery.read(task_id)
        if one.attempt is None:
            self._patiently(self.store.delete, one.id)
        else:
            self._patiently(self.store.acknowledge, one.id, one.attempt)

    def queue_size(self) -> int:
        """Count the packages that wait."""
        return self.store.packages.of(self._cluster).waiting().count()

    def lock_size(self) -> int:
        """Count the packages that clusters have, and have not acknowledged."""
        return self.store.packages.of(self._cluster).held().count()

    def purge_queue(self) -> int:
        """Delete the packages of the cluster, whoever has them; return how many."""
        return int(self._patiently(self.store.purge, self._cluster))

    delete_queue = purge_queue

    def ping(self) -> bool:
        """Tell whether the tables are there. Raises ImproperlyConfigured if not."""
        try:
            self.store.packages.exists()
        except DatabaseError as error:
            if not dialects.of(self.store.alias).is_missing_table(error):
                raise
            raise ImproperlyConfigured(
                f"The tables of dbqueue are not in database {self.store.alias!r}, "
                "where Q_CLUSTER keeps its packages. Run: manage.py migrate "
                f"--database {self.store.alias}"
            ) from error
        return True

    def info(self) -> str:
        return f"dbqueue {self.store.alias}"

    def set_stat(self, key: str, value: str, timeout: float) -> None:
        """Keep what a cluster says of itself: qmonitor needs no cache for it."""
        self.store.say(key, value, timeout)

    def get_stat(self, key: str) -> str | None:
        return self.store.said(key).get(key)

    def get_stats(self, pattern: str) -> list[str]:
        """Return what the clusters say whose keys begin as the pattern does."""
        return list(self.store.said(pattern.rstrip("*")).values())

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        _listen_for_starts()

    @property
    def _cluster(self) -> str:
        return str(self.list_key or Conf.CLUSTER_NAME)

    def _taken(self) -> list[Taken]:
        """Take packages; none while the database is away, which ends no cluster."""
        take = self.store.take
        try:
            return take(self._cluster, Conf.BULK, lease=lease(), holder=_holder())
        except (InterfaceError, OperationalError) as error:
            if connections[self.store.alias].in_atomic_block:
                raise
            if not dialects.of(self.store.alias).is_serialization_failure(error):
                logger.warning("No packages taken, trying again: %s", _said(error))
                self._reconnect()
            return []

    def _wait(self) -> None:
        if connections[self.store.alias].in_atomic_block:  # what comes is not seen
            time.sleep(Conf.POLL)
            return
        # A process that was forked has its own.
        if self._ear is None or self._ear.pid != os.getpid():
            self._ear = Ear(self.store.alias)
        self._ear.wait(self._cluster, Conf.POLL, soon=self._soon)

    def _is_poison(self, taken: Taken) -> bool:
        """Refuse a package that ends whatever runs it, as often as it may fail."""
        if not 0 < Conf.MAX_ATTEMPTS < taken.attempt:
            return False
        logger.error(
            "Package refused id=%s cluster=%s: it was taken %d times and never ended",
            taken.id,
            self._cluster,
            taken.attempt - 1,
        )
        self._patiently(self.store.refuse, taken.id, taken.attempt)
        return True

    def _patiently(self, move: Any, *args: Any) -> Any:
        """Make a move that may be made twice, once the database lets us."""
        ends_at = time.monotonic() + PATIENCE
        while True:
            try:
                return move(*args)
            except (InterfaceError, OperationalError) as error:
                inside = connections[self.store.alias].in_atomic_block
                if inside or time.monotonic() > ends_at:
                    raise
                logger.warning("Trying again: %s", _said(error))
                self._reconnect()

    def _reconnect(self) -> None:
        if dialects.of(self.store.alias).name != "sqlite":
            connections[self.store.alias].close()
        time.sleep(PAUSE)

    def _note_late(self, one: Delivery) -> None:
        if self.store.packages.filter(pk=one.id).exists():
            logger.warning(
                "Package acknowledged too late id=%s attempt=%s: another cluster was "
                "given it. Is Q_CLUSTER['retry'] longer than its tasks take?",
                one.id,
                one.attempt,
            )


def _listen_for_starts() -> None:
    # Before the cluster makes its workers. Its signals import its models, which a
    # process without the app has not.
    if apps.is_installed("django_q"):
        from django_q.signals import pre_execute

        pre_execute.connect(renew, dispatch_uid="dbqueue.compat.django_q2")


def _holder() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _said(error: Exception) -> str:
    return str(error).strip()
