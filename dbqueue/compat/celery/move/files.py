"""The files of a project, and imports written anew in them."""

import os
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from dbqueue.compat.celery.move.syntax import Report

_SKIPPED = {
    *("__pycache__", "build", "dist", "env", "node_modules", "site-packages", "venv"),
    "migrations",
}
# What starts Celery's programs, and is changed by hand.
_COMMAND = re.compile(r"\bcelery\b.*\b(worker|beat|multi|flower|events)\b")
_STARTERS = (
    *("Procfile*", "*.yml", "*.yaml", "*.service", "*.conf", "*.ini", "Makefile"),
    *("*.sh", "Dockerfile*", "*.toml", "*.cfg"),
)
_REQUIRERS = (
    *("*requirements*.txt", "requirements/*.txt", "pyproject.toml", "Pipfile"),
    *("setup.cfg", "setup.py"),
)
_PACKAGES = re.compile(
    r"(?<![\w.-])(celery|django[-_]celery[-_](beat|results)|flower|kombu)(?![\w-])",
    re.IGNORECASE,
)


def python(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files of Python at and below the paths, in order."""
    for path in paths:
        if path.is_file():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(
                name
                for name in folders
                if name not in _SKIPPED
                and not name.startswith(".")
                and not (Path(folder) / name / "pyvenv.cfg").exists()
            )
            yield from (
                Path(folder, name) for name in sorted(names) if name.endswith(".py")
            )


def text_of(path: Path) -> str:
    """Return what is in a file, its line ends as they are. Raises SyntaxError."""
    with path.open("rb") as file:
        encoding, _ = tokenize.detect_encoding(file.readline)
    return path.read_bytes().decode(encoding)


def rewritten(source: str, report: Report) -> str:
    """Return the source with its imports changed, and nothing else."""
    lines = source.splitlines(keepends=True)
    for first, last, text in sorted(report.imports, reverse=True):
        end = lines[last - 1]
        break_ = end[len(end.rstrip("\r\n")) :]
        before = lines[first - 1]
        indent = before[: len(before) - len(before.lstrip())]
        comment = _comment(end)
        new = [f"{indent}{line}" for line in text.split("\n")]
        new[-1] += comment
        lines[first - 1 : last] = [f"{line}{break_ or os.linesep}" for line in new]
        if not break_:
            lines[first - 2 + len(new)] = lines[first - 2 + len(new)].rstrip("\r\n")
    return "".join(lines)


def write(path: Path, source: str) -> None:
    """Write a file anew, whole or not at all, with the rights that it has."""
    with path.open("rb") as file:
        encoding, _ = tokenize.detect_encoding(file.readline)
    with NamedTemporaryFile(dir=path.parent, delete=False) as made:
        made.write(source.encode(encoding))
    os.chmod(made.name, path.stat().st_mode)
    os.replace(made.name, path)


def starters(folder: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield the lines, near the top of a project, that start Celery's programs."""
    for path, number, line in _lines(folder, _STARTERS):
        if _COMMAND.search(line) and "dbqueue" not in line:
            yield path, number, line.strip()


def requirements(folder: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield the lines that ask for Celery's packages."""
    for path, number, line in _lines(folder, _REQUIRERS):
        if _PACKAGES.search(line.partition("#")[0]):
            yield path, number, line.strip()


def _lines(folder: Path, names: Sequence[str]) -> Iterator[tuple[Path, int, str]]:
    found = {path for name in names for path in folder.glob(name)}
    found |= {path for name in names for path in folder.glob(f"*/{name}")}
    for path in sorted(found):
        if path.is_file() and not _SKIPPED & {*path.parts}:
            text = path.read_text(errors="replace")
            yield from (
                (path, number, line) for number, line in enumerate(text.splitlines(), 1)
            )


def _comment(line: str) -> str:
    """Return the comment at the end of a statement, with what is before it."""
    match = re.search(r"\s+#.*$", line.rstrip("\r\n"))
    return match.group() if match else ""
