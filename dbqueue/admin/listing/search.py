"""What a list is asked for: the fields of its form, and the qualifiers of its search.

task:send queue:mail worker:web1 id:0192… exception:SMTPError state:failed lane:user:7
schedule:nightly args.user_id:77, and a plain word for the task.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from dbqueue.conf import nearest

FIELDS = ("state", "queue", "task", "exception", "worker", "schedule", "lane", "age")
SEARCH = "q"
# Seconds since the end of a finished job, or since the enqueue of another.
AGES = {"1h": 3600.0, "24h": 86_400.0, "7d": 7 * 86_400.0}

_TERM = re.compile(r"""([a-z_]+(?:\.[^\s:"]+)?):("[^"]*"|\S*)|("[^"]*"|\S+)""")
_QUALIFIERS = (*FIELDS, "id")


@dataclass(slots=True)
class Wanted:
    """What rows must have to be listed; an empty text asks nothing."""

    state: str = ""
    queue: str = ""
    task: str = ""
    exception: str = ""
    worker: str = ""
    schedule: str = ""
    lane: str = ""
    age: str = ""
    search: str = ""
    ids: list[UUID | None] = field(default_factory=list)  # None: what is no id
    words: list[str] = field(default_factory=list)
    # Path and value of an argument, such as (["user_id"], 77).
    arguments: list[tuple[list[str], Any]] = field(default_factory=list)
    # What was not understood, in words.
    problems: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, params: Mapping[str, str]) -> "Wanted":
        """Read the parameters of a list's address."""
        # PostgreSQL takes no text with a NUL.
        texts = {n: str(params.get(n, "")).replace("\0", "") for n in (*FIELDS, SEARCH)}
        given: dict[str, Any] = {name: texts[name].strip() for name in FIELDS}
        wanted = cls(**given, search=texts[SEARCH].strip()[:500])
        if wanted.age and wanted.age not in AGES:
            wanted.problems.append(_("%r is no age.") % wanted.age)
            wanted.age = ""
        for qualifier, value, word in _TERM.findall(wanted.search):
            wanted._add(qualifier, value.strip('"'), word.strip('"'))
        return wanted

    def params(self) -> dict[str, str]:
        """Return the parameters of the address that asks the same."""
        named = {name: self.named(name) for name in FIELDS}
        found = {name: text for name, text in named.items() if text}
        return found | ({SEARCH: self.search} if self.search else {})

    def named(self, name: str) -> str:
        return str(getattr(self, name))

    def _add(self, qualifier: str, value: str, word: str) -> None:
        if not qualifier:
            self._add_word(word)
        elif qualifier.startswith("args."):
            self.arguments.append((qualifier.split(".")[1:], _value(value)))
        elif qualifier == "id":
            self.ids.append(as_uuid(value))
        elif qualifier in _QUALIFIERS:
            # What the form says is said again by its own address: the search goes last.
            setattr(self, qualifier, value.upper() if qualifier == "state" else value)
        else:
            near = nearest(qualifier, (*_QUALIFIERS, "args.…"))
            message = _("There is no qualifier %(name)s:%(near)s")
            self.problems.append(message % {"name": qualifier, "near": near})

    def _add_word(self, word: str) -> None:
        id = as_uuid(word)
        if id is not None:
            self.ids.append(id)
        elif word:
            self.words.append(word)


def as_uuid(text: str) -> UUID | None:
    """Return the id that a text is, with or without dashes; None if it is none."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
