"""What is declared in this process: the limits of tasks, and the rule of each name."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from dbqueue.jobs import insert
from dbqueue.limits.declarations import (
    NAME_LENGTH,
    Fair,
    Limit,
    check_weight,
)
from dbqueue.limits.exceptions import InvalidLimit
from dbqueue.tasks import keys
from dbqueue.tasks.payload import Call
from dbqueue.tasks.task import Task

logger = logging.getLogger(__name__)

WEIGHED = 60.0  # seconds for which the weight of a lane is remembered
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for the lanes of a name, as the code says it."""

    name: str
    concurrency: int | None = None
    rate: int | None = None
    per: float | None = None  # seconds
    burst: int | None = None
    is_ordered: bool = False
    is_fair: bool = False
    # Whether the values count for the fair group as a whole, and not for each lane.
    of_group: bool = False


@dataclass(slots=True)
class Use:
    """The limits of one task."""

    path: str
    limit: Limit | None = None
    fair: Fair | None = None

    def rule(self) -> Rule:
        """Return the rule. Raises InvalidLimit if the two do not go together."""
        limit, fair = self.limit, self.fair
        if fair is not None:
            self._check_pair(fair)
        if limit is None:
            return Rule(self.name, is_fair=True)
        return Rule(
            self.name,
            concurrency=1 if limit.ordered else limit.concurrency,
            rate=limit.rate,
            per=None if limit.per is None else float(limit.per),  # type: ignore[arg-type]  # seconds by now
            burst=limit.burst,
            is_ordered=limit.ordered,
            is_fair=fair is not None,
            of_group=fair is not None and limit.key is None,
        )

    @property
    def name(self) -> str:
        names = [part.name for part in (self.limit, self.fair) if part is not None]
        return next(filter(None, names), None) or _short(self.path)

    def _check_pair(self, fair: Fair) -> None:
        limit = self.limit
        if limit is None:
            return
        pair = f"{self.path!r} has {limit!r} and {fair!r}"
        if limit.name and fair.name and limit.name != fair.name:
            raise InvalidLimit(f"{pair}: name one of them, or both alike.")
        if limit.ordered:
            raise InvalidLimit(f"{pair}: jobs in order take no turns. Drop one.")
        if limit.key is not None and limit.key != fair.key:
            raise InvalidLimit(
                f"{pair}: a job has one lane. Give the limit the same key, and it "
                "holds for each lane, or none, and it holds for all of them."
            )
        if limit.key is not None and limit.rate is not None:
            raise InvalidLimit(
                f"{pair}: a rate beside turns is that of the group. Give the limit no "
                "key."
            )

    def columns(self, task: Task[..., Any], call: Call) -> Mapping[str, Any]:
        """Return the lane of a job, and its group. Raises InvalidKey, InvalidLimit."""
        rule = rules()[self.name]
        for hook in on_use:
            hook(task.get_backend(), rule)
        if self.fair is not None:
            value = keys.value_of("fair", self.fair.key, task, call.args, call.kwargs)
            lane = keys.composed(rule.name, "" if value is None else _text(value))
            return {"lane": lane, "fair_group": rule.name}
        key = None if self.limit is None else self.limit.key
        if key is None:
            return {"lane": f"{rule.name}:", "fair_group": ""}
        value = keys.value_of("limit", key, task, call.args, call.kwargs)
        if value is None and callable(key):
            return {}
        return {"lane": keys.composed(rule.name, _text(value)), "fair_group": ""}


# Called with the backend and the rule before a job of it is written.
on_use: list[Callable[[Any, Rule], None]] = []
uses: dict[str, Use] = {}  # by the task's path
_rules: dict[str, Rule] = {}


def declare(
    task: Task[..., Any], *, limit: Limit | None = None, fair: Fair | None = None
) -> None:
    """Note what a task says. Raises InvalidLimit and InvalidTask."""
    _rules.clear()
    path = task.module_path
    for option, given, kind in (("limit", limit, Limit), ("fair", fair, Fair)):
        if given is not None:
            if not isinstance(given, kind):
                raise InvalidLimit(
                    f"{option}={given!r} of {path!r} must be a {kind.__name__}, such "
                    f"as {_EXAMPLES[option]}."
                )
            keys.check(option, given.key, task)
    before = uses.get(path, Use(path))
    use = Use(path, limit or before.limit, fair or before.fair)
    use.rule()
    _check_limits_of(use)
    uses[path] = use  # what was refused would refuse those that are declared rightly
    insert.shapes[path] = [
        shape
        for shape in insert.shapes.get(path, [])
        if getattr(shape, "__func__", None) is not Use.columns
    ] + [use.columns]


def rules() -> dict[str, Rule]:
    """Return the declared rules by name. Raises InvalidLimit where two differ."""
    if not _rules:
        found: dict[str, Rule] = {}
        for use in uses.values():
            rule = use.rule()
            if found.setdefault(rule.name, rule) != rule:
                raise _differ(use, found[rule.name], rule)
        _rules.update(found)
    return _rules


def limit_of(key: str) -> str:
    """Return the name of the limit of a lane or of a fair group, by its key."""
    return key.partition(":")[0]


def weights(
    name: str, lanes: list[str], guarded: Callable[[], AbstractContextManager[Any]]
) -> dict[str, int]:
    """Return the weights that the code gives to lanes of a fair group, if not 1.

    Its function is called in a `guarded` block: its query may fail, and ours go on.
    """
    fairs = [use.fair for use in uses.values() if use.fair and use.name == name]
    weight = next((fair.weight for fair in fairs if fair.weight is not None), None)
    if weight is None:
        return {}
    now = time.monotonic()
    found = {}
    for lane in lanes:
        until, value = _weighed.get(lane, (0.0, 1))
        if now >= until:
            if len(_weighed) >= _REMEMBERED:
                _weighed.clear()
            value = _weigh(guarded, weight, lane)
            _weighed[lane] = now + WEIGHED, value
        found[lane] = value
    return found


_weighed: dict[str, tuple[float, int]] = {}


def _weigh(
    guarded: Callable[[], AbstractContextManager[Any]], weight: Any, lane: str
) -> int:
    value = lane.partition(":")[2]
    if isinstance(weight, Mapping):
        return int(weight.get(value, 1))
    try:
        with guarded():
            return check_weight(weight(value))
    except Exception:  # the project's code: anything may come
        logger.exception("The weight of lane=%s raised, and counts as 1", lane)
        return 1


def _check_limits_of(use: Use) -> None:
    """Raise InvalidLimit for a limit that another task has declared otherwise.

    A `fair` may follow: it is compared when the rules are first asked for.
    """
    if use.limit is None:
        return
    rule = use.rule()
    for other in uses.values():
        is_another = other.path != use.path and other.name == use.name
        if other.limit is None or not is_another:
            continue
        before = other.rule()
        if _values(before) != _values(rule):
            raise _differ(use, before, rule)


def _values(rule: Rule) -> tuple[Any, ...]:
    return rule.concurrency, rule.rate, rule.per, rule.burst, rule.is_ordered


def _differ(use: Use, first: Rule, second: Rule) -> InvalidLimit:
    return InvalidLimit(
        f"{use.path!r} declares the limit {use.name!r} as {_told(second)}, and another "
        f"task as {_told(first)}. Declare it once, and use it in both; or give it "
        "another name."
    )


def _told(rule: Rule) -> str:
    names = [name for name in Rule.__slots__ if name != "name"]
    said = ((name, getattr(rule, name)) for name in names)
    return ", ".join(f"{name}={value!r}" for name, value in said if value) or "fair"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else keys.text(value)


def _short(path: str) -> str:
    if len(path) <= NAME_LENGTH:
        return path
    digest = sha256(path.encode()).hexdigest()[:16]
    return f"{path[: NAME_LENGTH - len(digest) - 1]}#{digest}"


_EXAMPLES = {
    "limit": 'Limit(concurrency=1, key="user_id")',
    "fair": 'Fair(key="tenant_id")',
}
