"""manage.py migrate_from_celery"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dbqueue.compat.celery.move import code, files
from dbqueue.compat.celery.move.syntax import IGNORED, REFUSED, SUPPORTED, WRONG, Report
from dbqueue.management.backends import add_examples

_KINDS = (SUPPORTED, IGNORED, REFUSED, WRONG)


class Command(BaseCommand):
    help = (
        "Reads the code of a project, says per file what of Celery is supported, "
        "ignored and refused, and changes the imports."
    )
    # The project may import what is not installed any more.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "--check",
            action="store_true",
            help="change nothing; exit with 1 if something is refused or misspelt",
        )
        what.add_argument("--write", action="store_true", help="change the imports")
        parser.add_argument(
            "paths",
            nargs="*",
            type=Path,
            metavar="PATH",
            help="files and folders; default: BASE_DIR of the settings, or this folder",
        )
        add_examples(
            parser, "migrate_from_celery --check", "migrate_from_celery --write shop"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        default = Path(getattr(settings, "BASE_DIR", "."))
        paths = options["paths"] or [default]
        for path in paths:
            if not path.exists():
                raise CommandError(f"There is no file or folder {str(path)!r}.")
        total, changed = Counter[str](), 0
        for path, source, report in self._read(paths):
            self._say(path, report)
            total.update({kind: report.count(kind) for kind in _KINDS})
            if report.imports:
                changed += 1
                if options["write"]:
                    files.write(path, files.rewritten(source, report))
        self._conclude(total, changed, write=options["write"])
        self._tell_of_the_rest([path for path in paths if path.is_dir()])
        if options["check"] and (total[REFUSED] or total[WRONG]):
            raise SystemExit(1)

    def _read(self, paths: list[Path]) -> Iterator[tuple[Path, str, Report]]:
        for path in files.python(paths):
            try:
                source = files.text_of(path)
                report = code.read(source)
            except (OSError, SyntaxError, ValueError) as error:
                self.stderr.write(f"{path} is left out: {error}")
                continue
            if report.findings or report.imports:
                yield path, source, report

    def _say(self, path: Path, report: Report) -> None:
        counts = (f"{report.count(k)} {k}" for k in _KINDS if report.count(k))
        self.stdout.write(self.style.MIGRATE_HEADING(f"{path}: {', '.join(counts)}"))
        for found in report.findings:
            if found.kind == SUPPORTED:
                continue
            line = f"  {found.line:4}  {found.kind:9}  {found.what}"
            advice = f": {found.advice}" if found.advice else ""
            self.stdout.write(f"{line}{advice}")

    def _conclude(self, total: Counter[str], changed: int, *, write: bool) -> None:
        if not total and not changed:
            self.stdout.write("Nothing of Celery was found.")
            return
        counts = ", ".join(f"{total[kind]} {kind}" for kind in _KINDS)
        was = "are changed" if write else "would be changed"
        self.stdout.write(f"{counts}. The imports of {changed} files {was}.")

    def _tell_of_the_rest(self, folders: list[Path]) -> None:
        found = [
            *(item for folder in folders for item in files.starters(folder)),
            *(item for folder in folders for item in files.requirements(folder)),
        ]
        if found:
            self.stdout.write("By hand (manage.py runworker takes the place of these):")
        for path, number, line in found:
            self.stdout.write(f"  {path}:{number}: {line[:100]}")
