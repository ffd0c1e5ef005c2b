"""Arguments and results as exact JSON, without what the settings keep secret."""

import json
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from typing import Any

from dbqueue import conf
from dbqueue.tasks import registry

MOST_SHOWN = 100_000  # characters
HIDDEN = "********"


class _Exact(str):
    """A number as it was written."""


def pretty(text: str | None) -> str:
    """Return JSON text on lines, each number as it stands there; any other as it is."""
    if text is None:
        return ""
    try:
        value = json.loads(text, parse_float=_Exact, parse_int=_Exact)
    except (ValueError, RecursionError):
        return _cut(text)
    return _cut("".join(_lines(redacted(value), "")))


def arguments(task: str, args: str, kwargs: str) -> list[tuple[str, str]]:
    """Return the arguments of a call with their names, each as JSON on lines."""
    try:
        given = json.loads(args, parse_float=_Exact, parse_int=_Exact)
        named = json.loads(kwargs, parse_float=_Exact, parse_int=_Exact)
        names = _names(task)
        pairs = [
            (names[n] if n < len(names) else f"[{n}]", value)
            for n, value in enumerate(given)
        ]
        pairs += named.items()
    except (ValueError, RecursionError, AttributeError, TypeError):
        return [("args", _cut(args)), ("kwargs", _cut(kwargs))]
    return [
        (name, _cut("".join(_lines(_shown(name, value), "")))) for name, value in pairs
    ]


def redacted(value: Any) -> Any:
    """Return the value with what has a secret name in it hidden."""
    if isinstance(value, dict):
        return {key: _shown(key, inner) for key, inner in value.items()}
    return [redacted(item) for item in value] if isinstance(value, list) else value


def is_secret(name: str) -> bool:
    patterns = conf.current().redact
    return any(fnmatch(name.lower(), pattern.lower()) for pattern in patterns)


def _shown(name: str, value: Any) -> Any:
    return HIDDEN if is_secret(name) else redacted(value)


def _names(task: str) -> tuple[str, ...]:
    found = registry.in_name(task)
    code = getattr(found.func, "__code__", None)
    if code is None or code.co_name == "absent":
        return ()
    return tuple(code.co_varnames[int(found.takes_context) : code.co_argcount])


def _lines(value: Any, indent: str) -> Iterator[str]:
    deeper = f"{indent}  "
    if isinstance(value, _Exact):
        yield str(value)
    elif isinstance(value, dict) and value:
        pairs = (
            (f"{json.dumps(k, ensure_ascii=False)}: ", v) for k, v in value.items()
        )
        yield from _block("{", pairs, "}", deeper, indent)
    elif isinstance(value, list) and value:
        yield from _block("[", (("", item) for item in value), "]", deeper, indent)
    else:
        yield json.dumps(value, ensure_ascii=False)


def _block(
    begin: str, pairs: Iterable[tuple[str, Any]], end: str, deeper: str, indent: str
) -> Iterator[str]:
    yield begin
    comma = "\n"
    for key, item in pairs:
        yield f"{comma}{deeper}{key}"
        yield from _lines(item, deeper)
        comma = ",\n"
    yield f"\n{indent}{end}"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n…"
