"""Cadence: what says when the ticks of a schedule are; a project may have its own."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Self

from dbqueue.schedules.exceptions import InvalidSchedule, UnknownCadence

# The projects' own, by their kind.
kinds: dict[str, type["Cadence"]] = {}


class Cadence(ABC):
    """When the ticks of a schedule are.

    One of a project's own is a frozen dataclass, whose fields are JSON, in a module
    that workers import. Its `kind` is by which rows know it.
    """

    kind: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.kind:
            kinds[cls.kind] = cls

    @abstractmethod
    def after(self, moment: datetime) -> datetime | None:
        """Return the first tick after the moment, in UTC; None if there is none."""

    @abstractmethod
    def words(self) -> str:
        """Return it in plain words, as "At 08:00 on weekdays"."""

    def as_json(self) -> dict[str, Any]:
        """Return what a row keeps."""
        made: Any = self
        return {self.kind: dataclasses.asdict(made)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Return the cadence of which a row keeps this. Raises InvalidSchedule."""
        try:
            return cls(**kept)
        except (TypeError, ValueError) as error:
            raise InvalidSchedule(f"{cls.__name__}: {error}") from error

    def __str__(self) -> str:
        return self.words()


def of_kind(kept: Mapping[Any, Any]) -> Cadence | None:
    """Return a project's own cadence; None for what is described otherwise.

    Raises InvalidSchedule, and UnknownCadence if no module here defines its kind.
    """
    ((kind, value),) = kept.items() if len(kept) == 1 else ((None, None),)
    if not isinstance(kind, str) or not isinstance(value, Mapping):
        return None
    if kind not in kinds:
        raise UnknownCadence(
            f"No module that is imported here defines a cadence of the kind {kind!r}. "
            "Put its class into a module that workers import, such as `tasks`."
        )
    return kinds[kind].from_json(value)
