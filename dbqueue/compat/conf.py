"""DBQUEUE["COMPAT"]: every key, its unit and its default."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dbqueue.conf import demand, section


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatSettings:
    """One field a key, in lower case here and in upper case in the dict."""

    PLACE: ClassVar[str] = "DBQUEUE['COMPAT']"

    # Whether `uwsgi` and `uwsgidecorators` can be imported by these names, and are
    # those of dbqueue.compat.
    uwsgi_shim: bool = False
    # Seconds until a job runs again that asks for it by SPOOL_RETRY, and until the next
    # run of one of @spoolforever.
    spooler_frequency: float = 30.0
    # Queues by the directories that calls name as `spooler`; of others, it is the
    # last part of the path.
    spoolers: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        demand(self, ("spooler_frequency",), lambda value: value > 0, "above 0")


RENAMED: dict[str, str] = {}
KEY = "COMPAT"
current = section(CompatSettings, KEY)
