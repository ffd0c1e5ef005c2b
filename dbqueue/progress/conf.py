"""DBQUEUE["PROGRESS"]: every key, its unit and its default."""

from dataclasses import dataclass
from typing import ClassVar

from dbqueue.conf import DAY, demand, section


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressSettings:
    """One field a key, in lower case here and in upper case in the dict."""

    PLACE: ClassVar[str] = "DBQUEUE['PROGRESS']"

    # Seconds that a token is valid, where its maker says nothing else.
    token_age: float = DAY
    # The dotted path of a function of (request, job), which tells whether the id of the
    # job is enough, without a token, for who asks; None = for nobody.
    owns: str | None = None
    # Seconds that an attached file can be downloaded.
    keep_files: float = 7 * DAY
    # The alias in STORAGES of where attached files are stored.
    storage: str = "default"

    def __post_init__(self) -> None:
        ages = ("token_age", "keep_files")
        demand(self, ages, lambda value: value >= 1, "at least 1")
        demand(self, ("storage",), bool, "an alias in STORAGES")


RENAMED: dict[str, str] = {}
KEY = "PROGRESS"
current = section(ProgressSettings, KEY)
