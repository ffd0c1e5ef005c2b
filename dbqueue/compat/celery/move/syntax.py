"""What is found in a file, and short questions about its syntax."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

# Where the package stands that takes the place of Celery's.
ABOVE = "dbqueue.compat"
SUPPORTED, IGNORED, REFUSED, WRONG = "supported", "ignored", "refused", "misspelt"


@dataclass(frozen=True, order=True)
class Finding:
    """Something of Celery's in a line of a file."""

    line: int
    kind: str
    what: str
    advice: str = ""


@dataclass
class Report:
    """What was found in a file, and what of it is to be written anew."""

    findings: list[Finding] = field(default_factory=list)
    # (first line, last line, new text) of statements, from 1.
    imports: list[tuple[int, int, str]] = field(default_factory=list)
    # Names of queues, as far as they are written out.
    queues: set[str] = field(default_factory=set)

    def count(self, kind: str) -> int:
        return sum(found.kind == kind for found in self.findings)

    def add(self, node: Any, kind: str, what: str, advice: str = "") -> None:
        self.findings.append(Finding(node.lineno, kind, what, advice))


def is_celery(module: str) -> bool:
    return module == "celery" or module.startswith("celery.")


def in_celery(module: str) -> str:
    """Return what a module is in Celery, by its name there or by ours; "" of others."""
    name = module.removeprefix(f"{ABOVE}.")
    return name if is_celery(name) else ""


def here(module: str) -> str:
    """Return our name of a module of Celery's."""
    return f"{ABOVE}.{module}"


def is_alone(node: Any, lines: list[str]) -> bool:
    """Tell whether a statement has its lines for itself, but for a comment."""
    before = lines[node.lineno - 1].encode()[: node.col_offset]
    after = lines[node.end_lineno - 1].encode()[node.end_col_offset :].strip()
    return not before.strip() and (not after or after.startswith(b"#"))


def said(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def last(node: Any) -> str | None:
    if isinstance(node, ast.Call):
        return last(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def owner(node: Any) -> Any:
    return node.value if isinstance(node, ast.Attribute) else None


def is_inspect(func: ast.expr) -> bool:
    asked = owner(func)
    return isinstance(asked, ast.Call) and last(asked.func) in ("inspect", "Inspect")


def is_signature(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and last(node.func) in ("s", "si", "signature")


def texts(nodes: Iterable[Any]) -> set[str]:
    """Return those that are text, written out."""
    values = (node.value for node in nodes if isinstance(node, ast.Constant))
    return {value for value in values if isinstance(value, str)}


def targets(statement: ast.stmt) -> Iterator[ast.Name]:
    """Yield the names to which a statement assigns."""
    found: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        found = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        found = [statement.target]
    yield from (target for target in found if isinstance(target, ast.Name))
