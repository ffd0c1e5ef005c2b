"""Changes of limits while jobs run: they hold from the commit on.

A change keeps all gates of its limit shut until it is committed. What is READY beyond
the new limit goes back to wait; what runs is left to end.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import connections

from dbqueue import dialects
from dbqueue.backend import backend_of
from dbqueue.conf import nearest
from dbqueue.dialects.gates import NEWS
from dbqueue.jobs import wakeup
from dbqueue.limits import registry, rules, stores
from dbqueue.limits.declarations import VALUES, check_values, check_weight
from dbqueue.limits.exceptions import InvalidLimit, UnknownLimit
from dbqueue.limits.facts import Facts
from dbqueue.limits.models import Lane, LimitRule
from dbqueue.limits.registry import limit_of
from dbqueue.limits.stores import Store
from dbqueue.models import Job, JobState
from dbqueue.tasks import keys

logger = logging.getLogger(__name__)

PORTION = 500  # lanes that are looked at together


def set(
    name: str,
    *,
    concurrency: int | None = None,
    rate: int | None = None,
    per: float | timedelta | None = None,
    burst: int | None = None,
    lane: str | None = None,
    weight: int | None = None,
    by: str = "",
    backend: str = "default",
) -> None:
    """Override what the code declares of a limit, until reset(); from the commit on.

    With `lane`, a value of its key as text, override it for that lane alone: its
    concurrency, and its weight in a fair group. `per` is in seconds. `by` is who did
    it. Raises UnknownLimit for a name that is not declared, InvalidLimit for a value
    that a limit cannot have or that this one does not declare.
    """
    given = {"concurrency": concurrency, "rate": rate, "per": per, "burst": burst}
    values = check_values({n: v for n, v in given.items() if v is not None})
    if weight is not None:
        check_weight(weight)
    _check_target(name, values, lane, weight)
    alias = backend_of(backend).database
    with _shut(alias, name) as store:
        rule = _rule(alias, name)
        _check_declared(rule, values, lane, weight)
        if lane is None:
            overrides = {f"set_{n}": value for n, value in values.items()}
            _override(alias, rule, overrides, by)
        else:
            _override_lane(store, name, lane, values.get("concurrency"), weight)
        pull(store, name)


def reset(
    name: str, *, lane: str | None = None, by: str = "", backend: str = "default"
) -> None:
    """Take back what set() has set: of the limit, or of one lane of it.

    Raises UnknownLimit.
    """
    alias = backend_of(backend).database
    with _shut(alias, name) as store:
        rule = _rule(alias, name)
        if lane is None:
            _override(alias, rule, {f"set_{n}": None for n in VALUES}, by)
        else:
            rows = Lane.objects.using(alias).filter(pk=keys.composed(name, lane))
            rows.update(concurrency=None, weight=None)
        pull(store, name)


def declare(alias: str) -> None:
    """Write what this process declares; a limit that is lower now holds at once."""
    rules.ensure(alias, registry.rules())
    for rule in rules.changed(alias):
        with _shut(alias, rule.name) as store:
            values = asdict(rule)
            row = LimitRule.objects.using(alias).filter(pk=values.pop("name"))
            row.update(**values, declared_at=dialects.of(alias).clock())
            pull(store, rule.name)


def demand_known(alias: str, name: str) -> None:
    """Raise UnknownLimit for a limit, or a lane of one, that is not declared."""
    _rule(alias, limit_of(name))


def after_pause(alias: str, key: str) -> None:
    """Take back what is READY of what was paused; see dialects.hooks.

    A READY job of a paused queue or task would hold its lane for nothing.
    """
    kind, _, name = key.partition(":")
    store = stores.of(alias)
    if kind in ("limit", "lane"):
        store.lock_limit(limit_of(name))
        pull(store, limit_of(name))
    elif kind in ("queue", "task"):
        names = LimitRule.objects.using(alias).order_by("pk")
        for limit in names.values_list("pk", flat=True):
            store.lock_limit(limit)
        column = {"queue": "queue_name", "task": "task"}[kind]
        ready = Job.objects.using(alias).ready().exclude(lane=None)
        ids = ready.filter(**{column: name}).values_list("pk", flat=True)
        store.pull([id.hex for id in ids])
    _announce(alias)


def pull(store: Store, name: str) -> int:
    """Make BLOCKED what is READY beyond the limit; return how many.

    The limit must be locked.
    """
    lanes = Lane.objects.using(store.alias).filter(limit_name=name).exclude(held="")
    known = list(lanes.order_by("pk").values_list("pk", flat=True))
    pulled = 0
    for first in range(0, len(known), PORTION):
        for facts in store.facts(known[first : first + PORTION]):
            pulled += _pull_surplus(store, facts)
    return pulled


def _pull_surplus(store: Store, facts: Facts) -> int:
    pulled = 0
    while surplus := frozenset(_surplus(store, facts)):
        done = store.pull(surplus)
        pulled += done
        if done == len(surplus):
            break
        # Some were claimed meanwhile: others that are still READY go back for them.
        (facts,) = store.facts([facts.key])
    return pulled


def _surplus(store: Store, facts: Facts) -> Collection[str]:
    ready = [id for id, state in facts.holders.items() if state == JobState.READY]
    if facts.is_paused or not ready:
        return ready
    beyond = 0 if facts.most is None else len(facts.held) - facts.most
    if facts.is_ordered:
        beyond = 0
    chosen = store.surplus(ready, beyond) if beyond > 0 else []
    if facts.is_group:
        chosen = [*chosen, *_of_paused_lanes(store, ready)]
    return chosen


def _of_paused_lanes(store: Store, ready: list[str]) -> Iterator[str]:
    rows = Job.objects.using(store.alias).filter(pk__in=ready)
    lanes = dict(rows.values_list("pk", "lane"))
    found = store.facts(sorted({str(lane) for lane in lanes.values()}))
    paused = {facts.key for facts in found if facts.is_paused}
    yield from (id.hex for id, lane in lanes.items() if lane in paused)


@contextmanager
def _shut(alias: str, name: str) -> Iterator[Store]:
    """Keep the gates of a limit shut during a block, which is one commit."""
    dialect, store = dialects.of(alias), stores.of(alias)
    with dialect.one_commit():
        store.lock_limit(name)
        yield store
        _announce(alias)


def _announce(alias: str) -> None:
    connection = connections[alias]
    if connection.in_atomic_block or connection.get_autocommit():
        connection.on_commit(partial(wakeup.announce, alias, NEWS))


def _rule(alias: str, name: str) -> LimitRule:
    rules.ensure(alias, [name])
    rule = LimitRule.objects.using(alias).filter(pk=name).first()
    if rule is None:
        known = LimitRule.objects.using(alias).values_list("pk", flat=True)
        names = {*known, *registry.rules()}
        raise UnknownLimit(
            f"There is no limit {name!r}.{nearest(str(name), names)} Limits are "
            "declared by @task(limit=...), and written by the first worker that runs."
        )
    return rule


def _check_target(
    name: Any, values: dict[str, Any], lane: Any, weight: int | None
) -> None:
    if not isinstance(name, str):
        raise UnknownLimit(f"{name!r} is not the name of a limit.")
    if not values and weight is None:
        raise InvalidLimit(f"set({name!r}) says nothing to set: concurrency=, …")
    if lane is None and weight is not None:
        raise InvalidLimit("weight= is that of a lane: name it by lane=.")
    if lane is not None and not isinstance(lane, str):
        raise InvalidLimit(f"lane={lane!r} must be the value of its key as text.")
    if lane is not None and values.keys() - {"concurrency"}:
        raise InvalidLimit("Of a lane, only concurrency= and weight= can be set.")


def _check_declared(
    rule: LimitRule, values: dict[str, Any], lane: str | None, weight: int | None
) -> None:
    if rule.is_ordered and "concurrency" in values:
        raise InvalidLimit(
            f"The limit {rule.name!r} is ordered: it runs one at a time."
        )
    if lane is not None and rule.of_group and "concurrency" in values:
        raise InvalidLimit(
            f"The limit {rule.name!r} holds for its fair group, and not for lanes."
        )
    if weight is not None and not rule.is_fair:
        raise InvalidLimit(f"The limit {rule.name!r} has no turns, and no weights.")
    for name in values:
        if getattr(rule, name) is None:
            raise InvalidLimit(
                f"The limit {rule.name!r} declares no {name}=, so that none can be "
                "set. Declare one in the code."
            )


def _override(alias: str, rule: LimitRule, values: dict[str, Any], by: str) -> None:
    rows = LimitRule.objects.using(alias).filter(pk=rule.pk)
    rows.update(**values, set_at=dialects.of(alias).clock(), set_by=str(by)[:255])
    logger.info("Limit name=%s was set by=%s: %s", rule.name, by, values)


def _override_lane(
    store: Store, name: str, lane: str, concurrency: int | None, weight: int | None
) -> None:
    given = {"concurrency": concurrency, "weight": weight}
    changes = {column: value for column, value in given.items() if value is not None}
    key = keys.composed(name, lane)
    rows = Lane.objects.using(store.alias)
    if not rows.filter(pk=key).update(**changes):
        rows.create(pk=key, limit_name=name, used_at=0.0, **changes)
