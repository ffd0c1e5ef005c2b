"""The rows of rules: what the code declares is written by workers, not by enqueue()."""

from collections.abc import Collection
from dataclasses import asdict

from dbqueue.limits import stores
from dbqueue.limits.models import LimitRule
from dbqueue.limits.registry import Rule, rules


def ensure(alias: str, names: Collection[str]) -> bool:
    """Write the rules of these names that are declared here; tell if any is new."""
    declared = [rule for name, rule in rules().items() if name in names]
    if not declared:
        return False
    rows = LimitRule.objects.using(alias)
    there = set(rows.filter(pk__in=names).values_list("pk", flat=True))
    new = {rule.name: rule for rule in declared if rule.name not in there}
    store = stores.of(alias)
    for name in sorted(new):  # or two workers that begin could wait for each other
        store.make_rule(asdict(new[name]))
    return bool(new)


def changed(alias: str) -> list[Rule]:
    """Return the rules that this process declares otherwise than their rows."""
    stored = LimitRule.objects.using(alias).in_bulk(list(rules()))
    return [
        rule
        for name, rule in rules().items()
        if name in stored
        and any(
            getattr(stored[name], column) != value
            for column, value in asdict(rule).items()
        )
    ]
