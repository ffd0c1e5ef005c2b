"""What a file of a project uses of Celery, read from its syntax alone."""

import ast
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from dbqueue.compat.celery.conf import options
from dbqueue.compat.celery.move import settings, syntax
from dbqueue.compat.celery.move.imports import CANVAS, OTHERS, ImportReader
from dbqueue.compat.celery.move.syntax import (
    IGNORED,
    REFUSED,
    SUPPORTED,
    WRONG,
    Report,
)
from dbqueue.conf import nearest

_TASKS = {"shared_task", "task", "periodic_task"}
_CONTROL = {"control", "inspect"}


def read(source: str) -> Report:
    """Return what a file uses of Celery. Raises SyntaxError."""
    tree, report = ast.parse(source), Report()
    _Reader(report, source.splitlines()).visit(tree)
    report.findings = sorted(set(report.findings))
    return report


class _Reader(ImportReader):
    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if any(self._is(base, "Task", "DjangoTask") for base in node.bases):
            names = {t.id for s in node.body for t in syntax.targets(s)}
            for kind, known in (
                (REFUSED, options.REFUSED),
                (IGNORED, options.IGNORED | options.IDLE),
            ):
                # To be abstract is right for a base.
                for name in sorted(names & known.keys() - {"abstract"}):
                    self.report.add(node, kind, f"{node.name}.{name}", known[name])
            self._note_queues(node)
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
        elif name in CANVAS and self.known.get(name or "", "").startswith("celery"):
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
            self.report.queues |= syntax.texts(
                k.value for k in node.keywords if k.arg == "queue"
            )
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
        if isinstance(node.value, str) and node.value in OTHERS:
            self.report.add(node, REFUSED, repr(node.value), OTHERS[node.value])

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

    def _tell_of_options(
        self, node: ast.Call, where: str, known: Iterable[str], refused: dict[str, str]
    ) -> None:
        idle = options.IGNORED | options.IDLE
        if not node.keywords:
            self.report.add(node, SUPPORTED, f"{where}()")
        for keyword in node.keywords:
            name = keyword.arg
            what = f"{where}({name}=)"
            value = getattr(keyword.value, "value", None)
            if name == "queue" and isinstance(value, str):
                self.report.queues.add(value)
            if name is None:
                self.report.add(node, SUPPORTED, f"{where}(**…)")
            elif name == "serializer" and value != "json":
                self.report.add(node, REFUSED, what, "Arguments are JSON.")
            elif name in idle:
                self.report.add(keyword.value, IGNORED, what, idle[name])
            elif name in known or name == "serializer":
                self.report.add(keyword.value, SUPPORTED, what)
            elif name in refused:
                self.report.add(keyword.value, REFUSED, what, refused[name])
            else:
                near = nearest(name, {*known, *options.IGNORED}).strip()
                self.report.add(keyword.value, WRONG, what, near)

    def _note_queues(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            if any(target.id == "queue" for target in syntax.targets(statement)):
                self.report.queues |= syntax.texts([getattr(statement, "value", None)])

    def _tell_of_control(self, node: ast.Call, name: str) -> None:
        control: Any = import_module(syntax.here("celery.app.control"))
        kind = control.Inspect if syntax.is_inspect(node.func) else control.Control
        way = getattr(kind, name, None)
        refuses = way is None or "NoReturn" in str(getattr(way, "__annotations__", ""))
        self.report.add(node, REFUSED if refuses else SUPPORTED, f"{name}()")
