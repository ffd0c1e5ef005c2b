"""The imports of a file: what of Celery they name, and how they are written anew."""

import ast
from importlib import import_module
from typing import Any

from dbqueue.compat.celery.conf import options
from dbqueue.compat.celery.move import syntax
from dbqueue.compat.celery.move.syntax import IGNORED, REFUSED, SUPPORTED, Report

CANVAS = {"chain", "chord", "chunks", "group", "xmap", "xstarmap"}
OTHERS = {
    "django_celery_beat": "Run manage.py import_celery, which takes over its "
    "schedules; then use dbqueue.models.Schedule.",
    "django_celery_results": "Run manage.py import_celery, which takes over its "
    "history; then use AsyncResult(id), or dbqueue.models.FinishedJob.",
    "kombu": "There is no broker: queues are those of TASKS.",
    "flower": "The admin shows what workers do.",
}

# What to do without modules of Celery's that are missing here, by their beginning.
_WITHOUT = {
    "celery.beat": "Any worker fires schedules; there is no beat.",
    "celery.bin": "Start manage.py runworker.",
    "celery.contrib.abortable": "A task asks self.request.context.cancelled; "
    "AsyncResult(id).revoke() asks it to stop.",
    "celery.contrib.pytest": "Use the fixture dbqueue, or run_jobs() of "
    "dbqueue.testing.",
    "celery.contrib.testing": "Use run_jobs() of dbqueue.testing.",
    "celery.decorators": "Use shared_task.",
    "celery.events": "Connect to dbqueue.signals.",
    "celery.task": "Use shared_task, and Task of celery.",
    "celery.worker": "A worker has no parts of others. Use dbqueue.signals.",
}


class ImportReader(ast.NodeVisitor):
    """Reads imports of Celery, also those that are of dbqueue already."""

    def __init__(self, report: Report, lines: list[str]) -> None:
        self.report = report
        self._lines = lines
        # Names of the file that are Celery's, as what they are there.
        self.known: dict[str, str] = {}

    def visit_Import(self, node: ast.Import) -> None:
        mine = [alias for alias in node.names if syntax.is_celery(alias.name)]
        for alias in node.names:
            self._tell_of_package(node, alias.name)
            if name := syntax.in_celery(alias.name):
                self.known[alias.asname or "celery"] = name
                self._tell_of_module(node, name)
        if mine:
            self._rewrite(node, mine)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = "" if node.level else node.module or ""
        if module == syntax.ABOVE:
            for alias in node.names:
                if alias.name == "celery":
                    self.known[alias.asname or "celery"] = "celery"
        name = syntax.in_celery(module)
        if not name:
            self._tell_of_package(node, module)
        elif self._tell_of_module(node, name):
            for alias in node.names:
                self.known[alias.asname or alias.name] = f"{name}.{alias.name}"
                self._tell_of_name(node, name, alias.name)
            if syntax.is_celery(module):
                names = ", ".join(syntax.said(alias) for alias in node.names)
                self._replace(node, f"from {syntax.here(name)} import {names}")

    def _tell_of_package(self, node: Any, module: str) -> None:
        package = module.partition(".")[0]
        if package in OTHERS:
            self.report.add(node, REFUSED, f"import of {module}", OTHERS[package])

    def _tell_of_module(self, node: Any, module: str) -> bool:
        try:
            import_module(syntax.here(module))
        except ImportError:
            advice = f"There is no {syntax.here(module)}."
            for part, words in _WITHOUT.items():
                if f"{module}.".startswith(f"{part}."):
                    advice = f"{advice} {words}"
            self.report.add(node, REFUSED, f"import of {module}", advice)
            return False
        return True

    def _tell_of_name(self, node: Any, module: str, name: str) -> None:
        found = import_module(syntax.here(module))
        what = f"{module}.{name}"
        if name == "*":
            self.report.add(node, SUPPORTED, f"import of {what}")
            return
        if name in CANVAS:
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

    def _rewrite(self, node: ast.Import, mine: list[ast.alias]) -> None:
        lines = [f"import {syntax.said(a)}" for a in node.names if a not in mine]
        for alias in mine:
            if alias.name == "celery" or not alias.asname:
                lines.append(
                    f"from {syntax.ABOVE} import celery"
                    + (f" as {alias.asname}" if alias.asname else "")
                )
            else:
                lines.append(f"import {syntax.here(alias.name)} as {alias.asname}")
        self._replace(node, "\n".join(dict.fromkeys(lines)))

    def _replace(self, node: Any, text: str) -> None:
        if syntax.is_alone(node, self._lines):
            self.report.imports.append((node.lineno, node.end_lineno, text))
        else:
            advice = f"Write it by hand, as it shares its line: {text}"
            self.report.add(node, REFUSED, "an import", advice)
