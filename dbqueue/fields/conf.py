"""DBQUEUE["FIELDS"]: every key, its unit and its default."""

from dataclasses import dataclass
from typing import ClassVar

from dbqueue.conf import DAY, MB, demand, section


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSettings:
    """One field a key, in lower case here and in upper case in the dict."""

    PLACE: ClassVar[str] = "DBQUEUE['FIELDS']"

    # Seconds from the choice of a file until its form is submitted; what is not used by
    # then is deleted.
    token_age: float = DAY
    # Seconds that an address at a storage is valid, to upload to or to download from.
    url_age: float = 3600.0
    # How many files a user or an anonymous session may have waiting for their forms,
    # and their bytes, and how many may be begun in a minute. None = no limit.
    count_per_owner: int | None = 50
    bytes_per_owner: int | None = 2_000 * MB
    per_minute: int | None = 60
    # Whether an upload may be begun by a GET request, as older pages do.
    issue_by_get: bool = False

    def __post_init__(self) -> None:
        most = ("token_age", "url_age", "count_per_owner", "bytes_per_owner")
        demand(self, (*most, "per_minute"), lambda value: value >= 1, "at least 1")


RENAMED: dict[str, str] = {}
KEY = "FIELDS"
current = section(FieldSettings, KEY)
