"""System checks of limits: silent in a project without any."""

from typing import Any

from django.core import checks

from dbqueue.limits import registry
from dbqueue.limits.exceptions import InvalidLimit
from dbqueue.limits.facts import STEP


@checks.register("dbqueue")
def check_limits(**kwargs: Any) -> list[checks.CheckMessage]:
    """E008 and W014: limits that cannot hold, or that cannot be reached."""
    try:
        rules = registry.rules().values()
    except InvalidLimit as error:
        return [checks.Error(str(error), id="dbqueue.E008")]
    return [_slow(rule) for rule in rules if _is_slow(rule)]


def _is_slow(rule: registry.Rule) -> bool:
    if rule.rate is None or rule.per is None or rule.burst is None:
        return False
    return rule.burst / STEP < rule.rate / rule.per


def _slow(rule: registry.Rule) -> checks.CheckMessage:
    most = (rule.burst or 1) / STEP
    return checks.Warning(
        f"The limit {rule.name!r} allows more jobs a second than it can let in with "
        f"burst={rule.burst}: at most about {most:.0f}.",
        hint="Allow a larger burst, such as a tenth of a second's jobs.",
        id="dbqueue.W014",
    )
