"""The moves of packages, each one guarded statement; and what clusters say."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connections, router
from django.db.models import Value
from django.utils import timezone

from dbqueue import dialects
from dbqueue.backend import our_backends
from dbqueue.compat.django_q2 import statements
from dbqueue.compat.django_q2.models import ClusterStat, Package, PackageQuerySet
from dbqueue.dialects.rows import as_kept
from dbqueue.jobs.insert import migrated
from dbqueue.jobs.wakeup import WINDOW

# Where PostgreSQL tells of new packages: not where dbqueue's workers listen.
CHANNEL = "dbqueue_package"
DAY = 86_400.0  # seconds
_told: dict[tuple[str, str], float] = {}


class Taken(NamedTuple):
    """A package that a cluster was given."""

    id: int
    attempt: int
    payload: str


def database() -> str:
    """Return the alias of the database in which packages are kept.

    That is Q_CLUSTER["orm"], which django-q2 knows; without it, where the jobs of the
    first backend are.
    """
    named = getattr(settings, "Q_CLUSTER", {}).get("orm")
    if named:
        return str(named)
    backend = next(iter(our_backends().values()), None)
    return router.db_for_write(Package) if backend is None else backend.database


@dataclass(frozen=True, slots=True)
class Store:
    """The packages in one database."""

    alias: str

    @property
    def packages(self) -> PackageQuerySet:
        return Package.objects.using(self.alias)

    def put(self, cluster: str, payload: str) -> int:
        """Write a package, in the caller's transaction, and return its id.

        Clusters that listen are told after the commit. Raises MigrationsNotApplied.
        """
        now = dialects.of(self.alias).clock()
        with migrated(self.alias):
            made = self.packages.create(
                cluster=cluster, payload=payload, due_at=now, enqueued_at=now
            )
        told = partial(_tell, self.alias, cluster)
        connections[self.alias].on_commit(told)
        return int(made.pk)

    def take(
        self, cluster: str, most: int, *, lease: float, holder: str
    ) -> list[Taken]:
        """Take the first packages that are due, for `lease` seconds, in order."""
        dialect = dialects.of(self.alias)
        sql = statements.of(dialect.name)
        values: dict[str, Any] = {
            "cluster": cluster,
            "most": most,
            "lease": float(lease),
            "holder": holder[:255],
        }
        with migrated(self.alias):
            if dialect.name == "sqlite":
                return self._take_alone(dialect, sql, values)
            return [Taken(*row) for _, *row in sorted(dialect.ask(sql.TAKE, values))]

    def acknowledge(self, id: int, attempt: int) -> bool:
        """Delete a package that is done; False if it is another's by now, or gone."""
        return self._held(id, attempt)._raw_delete(self.alias) > 0

    def refuse(self, id: int, attempt: int) -> bool:
        """Give the package to no cluster any more; it stays for people to see."""
        return self._held(id, attempt).update(due_at=None) > 0

    def renew(self, id: int, attempt: int, lease: float) -> bool:
        """Let the lease last `lease` seconds from now; False if it was lost."""
        until = self.moment(lease)
        return self._held(id, attempt).exclude(due_at=None).update(due_at=until) > 0

    def delete(self, id: int) -> bool:
        """Delete a package, whoever has it."""
        return self.packages.filter(pk=id)._raw_delete(self.alias) > 0

    def purge(self, cluster: str) -> int:
        """Delete all packages of a cluster; return how many."""
        return self.packages.of(cluster)._raw_delete(self.alias)

    def again(self, id: int) -> int | None:
        """Put a refused package at the end, as a new one; return its id."""
        with dialects.of(self.alias).one_commit():
            found = self.packages.refused().filter(pk=id).first()
            if found is None or not self.delete(id):
                return None
            return self.put(found.cluster, found.payload)

    def say(self, key: str, value: str, seconds: float) -> None:
        """Keep what a cluster says of itself, for so many seconds."""
        rows = ClusterStat.objects.using(self.alias)
        said = {"value": value, "expires_at": self.moment(seconds)}
        if not rows.filter(pk=key).update(**said):
            rows.create(pk=key, **said)
            # Those of clusters that have ended: there is no keeper everywhere.
            rows.filter(expires_at__lt=self.moment(-DAY))._raw_delete(self.alias)

    def said(self, beginning: str) -> dict[str, str]:
        """Return what clusters say whose keys begin so, by key."""
        now = dialects.of(self.alias).clock()
        rows = ClusterStat.objects.using(self.alias).filter(expires_at__gt=now)
        found = rows.filter(key__startswith=beginning).order_by("key")
        return dict(found.values_list("key", "value"))

    def moment(self, seconds: float) -> Any:
        """Return the moment that is `seconds` away, by the database's clock."""
        dialect, delta = dialects.of(self.alias), timedelta(seconds=seconds)
        if dialect.name == "sqlite":  # which is this host's
            return timezone.now() + delta
        return dialect.clock() + Value(delta)

    def _held(self, id: int, attempt: int) -> PackageQuerySet:
        return self.packages.filter(pk=id, attempt=attempt)

    def _take_alone(
        self, dialect: dialects.Dialect, sql: Any, values: dict[str, Any]
    ) -> list[Taken]:
        values["now"] = _written(self.alias, timezone.now())
        if dialect.ask(sql.PEEK, values) == [(0,)]:
            return []
        with dialect.one_commit():
            # Once it is ours to write: a moment from before a wait would be past.
            now = timezone.now()
            until = now + timedelta(seconds=values["lease"])
            values["now"] = _written(self.alias, now)
            values["until"] = _written(self.alias, until)
            places = dict(dialect.ask(sql.PLACES, values))
            taken = [Taken(*row) for row in dialect.ask(sql.TAKE, values)]
        return sorted(taken, key=lambda package: (places[package.id], package.id))


def _tell(alias: str, cluster: str) -> None:
    now = time.monotonic()
    if now - _told.get((alias, cluster), 0.0) >= WINDOW:
        _told[alias, cluster] = now
        dialects.of(alias).tell(CHANNEL, cluster)


def _written(alias: str, moment: datetime) -> str:
    adapt: Callable[[Any], Any] = connections[alias].ops.adapt_datetimefield_value
    return str(adapt(as_kept(moment)))
