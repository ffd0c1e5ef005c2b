"""What a file of a project uses of Celery, read from its syntax alone."""

import ast
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from dbqueue.compat.celery.conf import options
from dbqueue.compat.celery.move import settings, syntax
from dbqueue.compat.celery.move.syntax import (
    IGNORED,
    REFUSED,
    SUPPORTED,
    WRONG,
    Report,
)
from dbqueue.conf import nearest

_HERE = "dbqueue.compat.celery"
_CANVAS = {"chain", "chord", "chunks", "group", "xmap", "xstarmap"}
_TASKS = {"shared_task", "task", "periodic_task"}
_CONTROL = {"control", "inspect"}
_OTHERS = {
    "django_celery_beat": "Run manage.py import_celery, which takes over its "
    "schedules; then use dbqueue.models.Schedule.",
    "django_celery_results": "Run manage.py import_celery, which takes over its "
    "history; then use AsyncResult(id), or dbqueue.models.FinishedJob.",
    "kombu": "There is no broker: queues are those of TASKS.",
    "flower": "The admin shows what workers do.",
}


def read(source: str) -> Report:
    """Return what a file uses of Celery. Raises SyntaxError."""
    tree, report = ast.parse(source), Report()
    _Reader(report, source.splitlines()).visit(tree)
    report.findings = sorted(set(report.findings))
    return report


class _Reader(ast.NodeVisitor):
    def __init__(self, report: Report, lines: list[str]) -> None:
        self.report = report
        self._lines = lines
        # Names of the file that are Celery's, as what they are there.
        self.known: dict[str, str] = {}

    def visit_Import(self, node: ast.Import) -> None:
        mine = [alias for alias in node.names if syntax.is_celery(alias.name)]
        for alias in node.names:
            self._tell_of_package(node, alias.name)
        for alias in mine:
            self.known[alias.asname or "celery"] = alias.name
            self._tell_of_module(node, alias.name)
        if mine:
            self._rewrite_import(node, mine)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level or not syntax.is_celery(module):
            if not node.level:
                self._tell_of_package(node, module)
            return
        if not self._tell_of_module(node, module):
            return
        for alias in node.names:
            self.known[alias.asname or alias.name] = f"{module}.{alias.name}"
            self._tell_of_name(node, module, alias.name)
        names = ", ".join(syntax.said(alias) for alias in node.names)
        rest = module.removeprefix("celery")
        self._replace(node, f"from {_HERE}{rest} import {names}")

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if any(self._is(base, "Task", "DjangoTask") for base in node.bases):
            names = {t.id for s in node.body for t in syntax.targets(s)}
            for name in sorted(names & options.REFUSED.keys()):
                advice = options.REFUSED[name]
                self.report.add(node, REFUSED, f"{node.name}.{name}", advice)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            settings.tell(self.report, node, target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            settings.tell(self.report, node, node.target, node.value)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        sides = (node.left, node.right)
        if isinstance(node.op, ast.BitOr) and any(map(syntax.is_signature, sides)):
            self.report.add(node, REFUSED, "a chain by |", options.REFUSED["chain"])
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = syntax.last(node.func)
        if name in _TASKS and self._is_decorator(node.func):
            self._tell_of_options(node, f"@{name}", options.OF_TASKS, options.REFUSED)
        elif name == "apply_async":
            refused = options.REFUSED_OF_CALLS
            self._tell_of_options(node, name, options.OF_CALLS, refused)
        elif name == "retry" and syntax.last(syntax.owner(node.func)) in (
            "self",
            "cls",
        ):
            known = (
                "args",
                "kwargs",
                "exc",
                "throw",
                "eta",
                "countdown",
                "max_retries",
            )
            self._tell_of_options(node, "retry", known, options.REFUSED_OF_RETRIES)
        elif name in _CANVAS and self.known.get(name or "", "").startswith("celery"):
            self.report.add(node, REFUSED, f"{name}()", options.REFUSED["chain"])
        elif syntax.last(syntax.owner(node.func)) in _CONTROL or syntax.is_inspect(
            node.func
        ):
            self._tell_of_control(node, str(name))
        elif name == "update" and syntax.last(syntax.owner(node.func)) == "conf":
            for keyword in node.keywords:
                settings.tell_of_key(
                    self.report, node, keyword.arg or "", keyword.value
                )
        elif name in ("delay", "delay_on_commit", "send_task", "add_periodic_task"):
            self.report.add(node, SUPPORTED, f"{name}()")
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call) and self._is_decorator(decorator):
                self.report.add(node, SUPPORTED, f"@{syntax.last(decorator)}")
        self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            func = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self._is_decorator(func):
                told = f"@{syntax.last(func)} of async def {node.name}()"
                self.report.add(node, REFUSED, told, "Use @dbqueue.task.")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and node.value in _OTHERS:
            self.report.add(node, REFUSED, repr(node.value), _OTHERS[node.value])

    def _is_decorator(self, func: ast.expr) -> bool:
        name = syntax.last(func)
        if isinstance(func, ast.Name):
            return self.known.get(func.id, "").endswith(".shared_task")
        owner = str(syntax.last(syntax.owner(func)) or "").lower()
        return name in _TASKS and ("app" in owner or "celery" in owner)

    def _is(self, node: ast.expr, *names: str) -> bool:
        found = self.known.get(node.id, "") if isinstance(node, ast.Name) else ""
        found = found or (
            str(syntax.last(node)) if isinstance(node, ast.Attribute) else ""
        )
        return found.rpartition(".")[2] in names

    def _tell_of_package(self, node: Any, module: str) -> None:
        package = module.partition(".")[0]
        if package in _OTHERS:
            self.report.add(node, REFUSED, f"import of {module}", _OTHERS[package])

    def _tell_of_module(self, node: Any, module: str) -> bool:
        try:
            import_module(_HERE + module.removeprefix("celery"))
        except ImportError:
            advice = f"There is no {_HERE}{module.removeprefix('celery')}."
            self.report.add(node, REFUSED, f"import of {module}", advice)
            return False
        return True

    def _tell_of_name(self, node: Any, module: str, name: str) -> None:
        found = import_module(_HERE + module.removeprefix("celery"))
        what = f"{module}.{name}"
        if name == "*":
            self.report.add(node, SUPPORTED, f"import of {what}")
            return
        if name in _CANVAS:
            self.report.add(node, REFUSED, what, options.REFUSED["chain"])
            return
        try:
            value = getattr(found, name)
        except (AttributeError, NotImplementedError) as error:
            self.report.add(node, REFUSED, what, str(error))
            return
        if getattr(value, "is_sent", True) is False:
            self.report.add(node, IGNORED, what, "It is never sent.")
        else:
            self.report.add(node, SUPPORTED, what)

    def _tell_of_options(
        self, node: ast.Call, where: str, known: Iterable[str], refused: dict[str, str]
    ) -> None:
        if not node.keywords:
            self.report.add(node, SUPPORTED, f"{where}()")
        for keyword in node.keywords:
            name = keyword.arg
            what = f"{where}({name}=)"
            value = getattr(keyword.value, "value", None)
            if name is None:
                self.report.add(node, SUPPORTED, f"{where}(**…)")
            elif name == "serializer" and value != "json":
                self.report.add(node, REFUSED, what, "Arguments are JSON.")
            elif name in known or name == "serializer":
                self.report.add(keyword.value, SUPPORTED, what)
            elif name in options.IGNORED:
                self.report.add(keyword.value, IGNORED, what)
            elif name in refused:
                self.report.add(keyword.value, REFUSED, what, refused[name])
            else:
                near = nearest(name, {*known, *options.IGNORED}).strip()
                self.report.add(keyword.value, WRONG, what, near)

    def _tell_of_control(self, node: ast.Call, name: str) -> None:
        control: Any = import_module(f"{_HERE}.app.control")
        kind = control.Inspect if syntax.is_inspect(node.func) else control.Control
        way = getattr(kind, name, None)
        refuses = way is None or "NoReturn" in str(getattr(way, "__annotations__", ""))
        self.report.add(node, REFUSED if refuses else SUPPORTED, f"{name}()")

    def _rewrite_import(self, node: ast.Import, mine: list[ast.alias]) -> None:
        lines = [f"import {syntax.said(a)}" for a in node.names if a not in mine]
        for alias in mine:
            name = alias.name.removeprefix("celery").removeprefix(".")
            if not name or not alias.asname:
                lines.append(
                    "from dbqueue.compat import celery"
                    + (f" as {alias.asname}" if alias.asname else "")
                )
            else:
                lines.append(f"import {_HERE}.{name} as {alias.asname}")
        self._replace(node, "\n".join(dict.fromkeys(lines)))

    def _replace(self, node: Any, text: str) -> None:
        if syntax.is_alone(node, self._lines):
            self.report.imports.append((node.lineno, node.end_lineno, text))
        else:
            advice = f"Write it by hand, as it shares its line: {text}"
            self.report.add(node, REFUSED, "an import", advice)
