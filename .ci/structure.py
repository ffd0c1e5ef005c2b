#!/usr/bin/env python3
"""The figures of dbqueue's house, and the way of a job through it.

.ci/structure.py [-v]   with -v, the modules that the job passes through, one by one

Budgets stand beside the values; only a circle of imports is a failure.
"""

import ast
import math
import sys
import tokenize
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import resolve_name
from io import StringIO
from pathlib import Path
from statistics import median
from textwrap import fill

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dbqueue"
# Those of the checkout are beside the package, and would be in it in the wheel.
MIGRATIONS = [ROOT / "migrations", PACKAGE / "migrations"]

ROOT_MODULES = 12
FOLDER_MODULES = 16
FILE_LINES = 260
FUNCTION_LINES = 40
FUNCTION_MEDIAN = 6
FUNCTION_P90 = 15
ENQUEUE_MODULES = 12
ENQUEUE_HOPS = 35
JOB_MODULES = 28

Imports = dict[str, set[str]]


@dataclass
class Source:
    """A file of Python."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def name(self) -> str:
        """The module's dotted name; a package's is that of its folder."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if self.is_package else parts)

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


def main() -> int:
    options = ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("-v", action="store_true", help="print the ways, too")
    verbose = options.parse_args().v
    sys.path.insert(0, str(ROOT))
    sources = list(sources_of(PACKAGE))
    print_rooms(sources)
    print_sizes(sources)
    print_shares(sources)
    found = circles(imports(sources))
    show("circles of imports", len(found), 0)
    for circle in found:
        note(" <-> ".join(circle))
    sys.stdout.flush()
    print_ways(verbose)
    return bool(found)


def sources_of(folder: Path) -> Iterator[Source]:
    """Read the Python files below the folder, migrations within dbqueue left out."""
    for path in sorted(folder.rglob("*.py")):
        if folder in MIGRATIONS or PACKAGE / "migrations" not in path.parents:
            text = path.read_text()
            yield Source(path, text, ast.parse(text))


def lines_of(sources: Iterable[Source]) -> int:
    return sum(source.lines for source in sources)


# What is printed


def show(what: str, value: object, budget: object = None, more: str = "") -> None:
    allowed = "" if budget is None else f"(budget {budget})"
    print(f"{what:<32}{value!s:>8}  {allowed:<13}{more}".rstrip())


def note(text: str) -> None:
    print(f"    {text}")


def print_rooms(sources: list[Source]) -> None:
    folders = Counter(s.path.parent for s in sources if not s.is_package)
    show("modules in the root", folders.pop(PACKAGE, 0), ROOT_MODULES)
    (largest, count), *_ = ordered = folders.most_common()
    place = largest.relative_to(PACKAGE)
    show("modules in the largest folder", count, FOLDER_MODULES, f"{place}/")
    note(", ".join(f"{p.relative_to(PACKAGE)} {n}" for p, n in ordered))


def print_sizes(sources: list[Source]) -> None:
    show("files", len(sources))
    show("lines", lines_of(sources))
    migrations = [source for folder in MIGRATIONS for source in sources_of(folder)]
    show("lines of migrations", lines_of(migrations))
    files = {str(s.path.relative_to(PACKAGE)): s.lines for s in sources}
    print_spread("lines of a file", files, (None, None, FILE_LINES))
    budgets = (FUNCTION_MEDIAN, FUNCTION_P90, FUNCTION_LINES)
    print_spread("lines of a function", functions(sources), budgets)


def print_spread(
    what: str, sizes: dict[str, int], budgets: tuple[int | None, int | None, int]
) -> None:
    values = sorted(sizes.values())
    p90 = values[math.ceil(0.9 * len(values)) - 1]
    for title, value, budget in zip(
        ("median", "p90", "max"),
        (median(values), p90, values[-1]),
        budgets,
        strict=True,
    ):
        show(f"{what}, {title}", f"{value:g}", budget or None)
    large = {name: size for name, size in sizes.items() if size > budgets[-1]}
    for name in sorted(large, key=large.__getitem__, reverse=True):
        note(f"{large[name]} {name}")


def print_shares(sources: list[Source]) -> None:
    lines = lines_of(sources)
    show("lines that are comments", f"{sum(map(comments, sources)) / lines:.1%}")
    show("lines that are docstrings", f"{sum(map(docstrings, sources)) / lines:.1%}")
    tests = lines_of(sources_of(ROOT / "tests"))
    show("lines of tests : source", f"{tests / lines:.2f} : 1")


def print_ways(verbose: bool) -> None:
    from tracing import traced

    way = traced()
    print(f"\nTraced on {way.surroundings}:")
    show("enqueue(): modules", len(way.enqueue.modules), ENQUEUE_MODULES)
    show("enqueue(): hops", way.enqueue.hops, ENQUEUE_HOPS)
    show("enqueue(): calls", way.enqueue.calls)
    job = [way.enqueue, *way.worker]
    show("one job: modules", len(set().union(*(t.modules for t in job))), JOB_MODULES)
    show("one job: hops", sum(trail.hops for trail in job))
    show("one job: calls", sum(trail.calls for trail in job))
    for trail in job:
        figures = f"{len(trail.modules)} modules, {trail.hops} hops"
        note(f"{trail.thread}: {figures}, {trail.calls} calls")
        if verbose:
            print(fill(" > ".join(trail.way), 88), end="\n\n")


# What is counted


def functions(sources: Iterable[Source]) -> dict[str, int]:
    """Return the lines of each function, without decorators, by where it is."""
    return {
        f"{source.path.relative_to(PACKAGE)}:{node.lineno} {node.name}()": (
            node.end_lineno - node.lineno + 1
        )
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def comments(source: Source) -> int:
    """Count the lines that hold nothing but a comment."""
    tokens = tokenize.generate_tokens(StringIO(source.text).readline)
    return sum(
        token.type == tokenize.COMMENT and token.line.lstrip().startswith("#")
        for token in tokens
    )


def docstrings(source: Source) -> int:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return sum(
        node.body[0].end_lineno - node.body[0].lineno + 1
        for node in ast.walk(source.tree)
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None
    )


def imports(sources: Collection[Source]) -> Imports:
    """Return which modules each module imports: anywhere in it, even for types only."""
    names = {source.name for source in sources}
    return {
        source.name: {home(target, names) for target in targets(source)} - {""}
        for source in sources
    }


def targets(source: Source) -> Iterator[str]:
    """Give the dotted name of each thing that is imported."""
    package = source.name if source.is_package else source.name.rpartition(".")[0]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def home(target: str, names: set[str]) -> str:
    """Return the module that is the target, or else has it; "" for one of others."""
    while target and target not in names:
        target = target.rpartition(".")[0]
    return target


def circles(graph: Imports) -> list[list[str]]:
    """Return the groups of modules that all import each other, directly or not."""
    reached = {name: reach(name, graph) for name in graph}
    groups = {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in graph
    }
    return sorted(sorted(group) for group in groups if len(group) > 1)


def reach(name: str, graph: Imports) -> set[str]:
    reached: set[str] = set()
    ahead = [name]
    while ahead:
        new = graph[ahead.pop()] - reached
        reached |= new
        ahead += new
    return reached


if __name__ == "__main__":
    sys.exit(main())
