"""What a limit allows, in words, and each of its values beside what was set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from dbqueue.admin import texts
from dbqueue.limits.declarations import VALUES
from dbqueue.limits.models import LimitRule


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a limit: as the code declares it, and as an operator has set it."""

    name: str
    label: str
    declared: Any
    was_set: Any

    @property
    def now(self) -> Any:
        return self.declared if self.was_set is None else self.was_set


def values(rule: LimitRule) -> list[Value]:
    """Return the values that the limit declares, which are those that can be set."""
    labels = {
        "concurrency": _("At once"),
        "rate": _("Starts in the time"),
        "per": _("The time, in seconds"),
        "burst": _("Starts together"),
    }
    return [
        Value(name, labels[name], getattr(rule, name), getattr(rule, f"set_{name}"))
        for name in VALUES
        if getattr(rule, name) is not None
    ]


def allows(rule: LimitRule, *, declared: bool = False) -> str:
    """Return what the limit allows now, or as it is declared."""
    found = {v.name: v.declared if declared else v.now for v in values(rule)}
    words = []
    if rule.is_ordered:
        words.append(_("one after the other, in order"))
    elif "concurrency" in found:
        words.append(_("%s at once") % found["concurrency"])
    if "rate" in found:
        words.append(_rate(found))
    if rule.is_fair:
        words.append(_("in turns"))
    return ", ".join(words)


def _rate(found: Mapping[str, Any]) -> str:
    said = _("%(rate)s in %(time)s") % {
        "rate": found["rate"],
        "time": texts.plain_duration(found["per"]),
    }
    if found.get("burst", 1) > 1:
        said += ", " + _("%s together") % found["burst"]
    return said
