"""Which of a database's own functions, and tables by them, may change a session."""

import time
from functools import cache
from typing import Any

from dbqueue.dialects.postgresql import plain

# Seconds after which the catalogue is read again: functions are replaced, and triggers
# added. It takes milliseconds.
_MAX_AGE = 10.0
_MOST_TEXTS, _MOST_WORDS, _LONG = 1_000, 20_000, 20_000

# The project's own functions that may have effects, in lower case, with their source
# where its language is read. One that is said to be stable may set something all the
# same.
_IS_READ = """p.prolang IN (
    SELECT oid FROM pg_language WHERE lanname IN ('sql', 'plpgsql'))"""
_OWN = f"""(p.provolatile = 'v' OR {_IS_READ}) AND p.oid >= 16384 AND NOT EXISTS (
    SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass
    AND e.objid = p.oid AND e.deptype = 'e')"""
_OWN_FUNCTIONS = f"""
SELECT lower(p.proname), CASE WHEN {_IS_READ}
    THEN coalesce(nullif(p.prosrc, ''), pg_get_function_sqlbody(p.oid)) END
FROM pg_proc p WHERE {_OWN}
"""

# Tables, views and aggregates that call one, in lower case, and whether reading them
# does. What calls it without being named has no name here: operators, casts, domains.
_USES_OF_FUNCTIONS = f"""
SELECT DISTINCT coalesce(lower(c.relname), lower(f.proname), ''), lower(p.proname),
    r.oid IS NOT NULL OR c.oid IS NULL
FROM pg_depend d
JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid
LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid
LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
LEFT JOIN pg_policy y ON d.classid = 'pg_policy'::regclass AND d.objid = y.oid
LEFT JOIN pg_proc f ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid
LEFT JOIN pg_class c
    ON c.oid = coalesce(t.tgrelid, a.adrelid, k.conrelid, r.ev_class, y.polrelid)
WHERE {_OWN}
"""


class Catalogue:
    """What this process knows of one database, and the statements it has judged.

    Threads share it; what two of them do at once is done twice, and does no harm.
    """

    def __init__(self) -> None:
        self.plain: set[str] = set()  # texts of statements that leave nothing
        self._words: set[str] = set()
        self._suspects: frozenset[str] = frozenset()
        self._suspects_of_writes: frozenset[str] = frozenset()
        self._read_at = -_MAX_AGE

    def expire(self) -> None:
        """Have all be judged anew once the catalogue may have changed."""
        if time.monotonic() > self._read_at + _MAX_AGE:
            self.plain, self._words = set(), set()

    def is_plain(self, raw: Any, sql: str, words: frozenset[str]) -> bool:
        """Tell whether a statement leaves nothing; the connection may be asked."""
        # A word that was never met may be a function that was made just now.
        if not words <= self._words:
            self._read(raw)
            if len(self._words) > _MOST_WORDS:
                self._words = set()
            self._words |= words
        suspects = self._suspects_of_writes if plain.writes(words) else self._suspects
        if words & suspects or "" in suspects:  # what has no name may be in any
            return False
        if len(sql) < _LONG:
            if len(self.plain) > _MOST_TEXTS:
                self.plain = set()
            self.plain.add(sql)
        return True

    def _read(self, raw: Any) -> None:
        began = time.monotonic()
        functions = raw.execute(_OWN_FUNCTIONS).fetchall()
        uses = raw.execute(_USES_OF_FUNCTIONS).fetchall() if functions else []
        lasting = {name for name, source in functions if plain.source_lasts(source)}
        mentions = [
            (name, plain.words_of(source.lower()))
            for name, source in functions
            if source
        ]
        # A function is suspect, too, if it mentions one that is, or a table with one.
        while True:
            tables = {table for table, function, _ in uses if function in lasting}
            suspects = lasting | tables
            more = {name for name, words in mentions if words & suspects}
            if more <= lasting:
                break
            lasting |= more
        read = {table for table, function, by in uses if by and function in lasting}
        self._suspects = frozenset(lasting | read)
        self._suspects_of_writes = frozenset(suspects)
        self._read_at = began


@cache
def catalogue_of(alias: str) -> Catalogue:
    return Catalogue()
