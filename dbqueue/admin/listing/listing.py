"""One page of a list: its rows, how many there are, and where the others are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet

from dbqueue.admin.base import CappedPaginator
from dbqueue.admin.listing import keyset
from dbqueue.admin.listing.narrow import narrow
from dbqueue.admin.listing.search import FIELDS, SEARCH, Wanted
from dbqueue.status import AtLeast

PAGE = 50  # rows
WINDOW = 10_000  # rows that are looked at for what no index has
AFTER, BEFORE, LAST = "after", "before", "last"


@dataclass(slots=True)
class Window:
    """The rows that were looked at; `edge` is where the next ones begin."""

    rows: int
    edge: keyset.Key | None


class Listing:
    """The page that the parameters of its address ask for."""

    def __init__(self, rows: QuerySet[Any], params: Mapping[str, str]) -> None:
        self.wanted = Wanted.of(params)
        self.query = self.wanted.search
        self._narrowed = narrow(rows, self.wanted)
        self._order = self._narrowed.order
        self.window: Window | None = None
        self._read(params)

    def _read(self, params: Mapping[str, str]) -> None:
        after = keyset.decoded(params.get(AFTER, ""), self._order)
        before = keyset.decoded(params.get(BEFORE, ""), self._order)
        backwards = LAST in params or before is not None
        order = keyset.reverse(self._order) if backwards else self._order
        start = before if backwards else after
        rows = keyset.beyond(self._narrowed.rows, order, start)
        if self._narrowed.is_windowed:
            rows = self._within_window(rows, order)
        found = list(rows.order_by(*order)[: PAGE + 1])
        more, found = len(found) > PAGE, found[:PAGE]
        self.result_list = found[::-1] if backwards else found
        self.result_count = self._count(more=more)
        self._link(backwards=backwards, start=start, more=more)

    def _within_window(
        self, rows: QuerySet[Any], order: tuple[str, ...]
    ) -> QuerySet[Any]:
        """Return what matches among the next rows, as many as a window has."""
        if len(order) == 2:
            return self._within_moment(rows, order)
        # The row itself, and not its columns: damaged moments are read as any.
        names = keyset.columns(order)
        bound = rows.order_by(*order).only("id", *names)[WINDOW - 1 : WINDOW]
        edges = [keyset.key_of(row, order) for row in bound]
        edge = edges[0] if edges else None
        self.window = Window(WINDOW, edge)
        return self._narrowed.matching(keyset.up_to(rows, order, edge))

    def _within_moment(
        self, rows: QuerySet[Any], order: tuple[str, ...]
    ) -> QuerySet[Any]:
        """Return the same where a moment comes first, and others of that moment."""
        first, last = order[0].lstrip("-"), order[1]
        bound = rows.order_by(order[0]).only("id", first)[WINDOW - 1 : WINDOW]
        moments = [getattr(row, first) for row in bound]
        self.window = Window(WINDOW, None)
        if moments and moments[0] is not None:
            # The next window begins after all of its moment.
            end = UUID(int=0 if last.startswith("-") else (1 << 128) - 1)
            self.window.edge = (moments[0], end)
            rows = keyset.up_to(rows, (order[0],), (moments[0],))
        return self._narrowed.matching(rows)

    def _count(self, *, more: bool) -> int:
        """Count the rows of all pages; of a search, those of this one."""
        if self._narrowed.is_windowed:
            found = len(self.result_list)
            return AtLeast(found) if more else found
        cap = CappedPaginator.cap
        # In an order, so that an index is read, and the column that it has already.
        rows = self._narrowed.rows.order_by(self._order[0])
        counted = rows.values_list("state")[: cap + 1].count()
        return counted if counted <= cap else AtLeast(cap)

    def _link(self, *, backwards: bool, start: Any, more: bool) -> None:
        """Find the addresses of the other pages; "" is none."""
        edge = self.window.edge if self.window else None
        begun = start is not None or backwards
        ends = [keyset.key_of(r, self._order) for r in self.result_list]
        onward = (
            (ends[0 if backwards else -1] if more else edge) if ends or edge else None
        )
        back = (ends[-1 if backwards else 0] if ends else start) if begun else None
        older, newer = (back, onward) if backwards else (onward, back)
        if backwards and start is None:
            older = None  # the last page
        self.older_url = self._url(AFTER, older)
        self.newer_url = self._url(BEFORE, newer)
        self.is_search_over = edge is None
        self.first_url = self.url() if begun and newer is not None else ""
        windowed = self._narrowed.is_windowed
        self.last_url = "" if windowed or older is None else self.url(**{LAST: "1"})

    def _url(self, name: str, key: keyset.Key | None) -> str:
        return "" if key is None else self.url(**{name: keyset.encoded(key)})

    def url(self, **changes: str | None) -> str:
        """Return the address of the list with other parameters; None takes one away."""
        params = self.wanted.params() | {}
        if self.query:
            params = {
                name: text
                for name, text in params.items()
                if name == SEARCH or not self._is_said_by_search(name)
            }
        merged = {n: t for n, t in {**params, **changes}.items() if t is not None}
        return f"?{urlencode(merged)}" if merged else "?"

    def _is_said_by_search(self, name: str) -> bool:
        return f"{name}:" in self.query

    @property
    def summary(self) -> str:
        """What is asked for, in short."""
        return " ".join(f"{n}={text}" for n, text in self.wanted.params().items())

    @staticmethod
    def params_of(params: Mapping[str, str]) -> dict[str, str]:
        """Return what an address asks for, and not which page of it."""
        return {name: params[name] for name in (*FIELDS, SEARCH) if params.get(name)}

    @staticmethod
    def all_matching(rows: QuerySet[Any], params: Mapping[str, str]) -> QuerySet[Any]:
        """Return all rows that are asked for, for a move in batches."""
        found = narrow(rows, Wanted.of(params))
        return found.matching(found.rows)
