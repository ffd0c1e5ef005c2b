"""Which statements leave nothing in their session, as far as their text tells.

Anything that is not known to be plain counts as not plain: that costs a connection,
the opposite would cost a job its clean session.
"""

import re

from dbqueue.dialects.session import PLAIN_VERBS

# What stands before the first word: blanks, comments, parentheses.
_FIRST = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*([a-z]+)\s*([a-z]*)", re.DOTALL)
_WORD = re.compile(r"[^\W\d]\w*")
_PLAIN_SETS = frozenset(("local", "transaction", "constraints"))
_TEMPORARY = frozenset(("temp", "temporary", "pg_temp"))
_LOCAL = re.compile(r"\bset_config\s*\([^()]*,\s*true\s*\)")
# Functions of PostgreSQL and its extensions whose effect stays in the session, or
# which execute a text.
LASTING_FUNCTIONS = frozenset(
    [
        "connectby",
        "crosstab",
        "crosstab2",
        "crosstab3",
        "crosstab4",
        "crosstabn",
        "dblink",
        "dblink_connect",
        "dblink_connect_u",
        "dblink_exec",
        "dblink_open",
        "pg_advisory_lock",
        "pg_advisory_lock_shared",
        "pg_replication_origin_session_setup",
        "pg_try_advisory_lock",
        "pg_try_advisory_lock_shared",
        "query_to_xml",
        "query_to_xml_and_xmlschema",
        "query_to_xmlschema",
        "set_config",
        "set_limit",
        "setseed",
        "ts_rewrite",
        "ts_stat",
        "xpath_table",
    ]
)
_WRITING = frozenset(("insert", "update", "delete", "merge", "truncate", "copy"))
# In the source of a function: statements that last, and ways to execute a text.
_LASTING_WORDS = (
    LASTING_FUNCTIONS
    | _TEMPORARY
    | frozenset(("discard", "execute", "hold", "listen", "load", "prepare", "reset"))
)
_LASTING_SET = re.compile(
    r"(?:^|;|\b(?:begin|then|else|loop)\b|\$\w*\$)\s*set\s+"
    r"(?!local\b|transaction\b|constraints\b)"
)


def words_if_plain(sql: str) -> frozenset[str] | None:
    """Return the words of statements that are plain if their words are, else None."""
    # Thousands of placeholders would be thousands of words.
    text = sql.lower().replace("%s", " ")
    statements = [part for part in text.split(";") if part.strip()]
    # A semicolon in a literal makes two, of which the second hardly begins plainly.
    if not statements or not all(map(_begins_plainly, statements)) or 'u&"' in text:
        return None
    words = words_of(text)
    if "into" in words and words & _TEMPORARY and "insert" not in words:
        return None
    local = len(_LOCAL.findall(text))
    lasting = words & LASTING_FUNCTIONS
    if lasting and not (
        lasting == {"set_config"} and text.count("set_config") == local
    ):
        return None
    return words


def words_of(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text))


def writes(words: frozenset[str]) -> bool:
    """Tell whether a statement with these words may fire a trigger."""
    return not words.isdisjoint(_WRITING)


def source_lasts(source: str | None) -> bool:
    """Tell whether a function with this source may change its session by itself.

    None is a source in a language that is not read here.
    """
    if source is None:
        return True
    text = source.lower()
    return bool(words_of(text) & _LASTING_WORDS or _LASTING_SET.search(text))


def _begins_plainly(statement: str) -> bool:
    match = _FIRST.match(statement)
    if match is None:
        return False
    verb, second = match.groups()
    return verb in PLAIN_VERBS or (verb == "set" and second in _PLAIN_SETS)
