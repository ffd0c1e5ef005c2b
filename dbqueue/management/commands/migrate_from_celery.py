"""manage.py migrate_from_celery"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dbqueue.backend import our_backends
from dbqueue.compat.celery.move import code, files
from dbqueue.compat.celery.move.syntax import IGNORED, REFUSED, SUPPORTED, WRONG, Report
from dbqueue.management.backends import add_examples, counted

_KINDS = (SUPPORTED, IGNORED, REFUSED, WRONG)
_STARTERS = "By hand: start manage.py runworker, once, where these start Celery:"
_REQUIREMENTS = (
    "By hand: require dbqueue-django, with [postgres] on PostgreSQL. Once Celery's "
    "last worker has stopped, take these out, and the broker's client, such as redis, "
    "if nothing else uses it:"
)


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
            help="change nothing; exit with 1 if something is refused or misspelt, or "
            "if a queue is not in TASKS",
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
        total, changed, queues = Counter[str](), 0, set[str]()
        for path, source, report in self._read(paths):
            self._say(path, report)
            total.update({kind: report.count(kind) for kind in _KINDS})
            queues |= report.queues
            if report.imports:
                changed += 1
                if options["write"]:
                    files.write(path, files.rewritten(source, report))
        self._conclude(total, changed, write=options["write"])
        missing = self._tell_of_queues(queues)
        self._tell_of_the_rest([path for path in paths if path.is_dir()])
        if options["check"] and (total[REFUSED] or total[WRONG] or missing):
            raise SystemExit(1)

    def _read(self, paths: list[Path]) -> Iterator[tuple[Path, str, Report]]:
        for path in files.python(paths):
            try:
                source = files.text_of(path)
                report = code.read(source)
            except (OSError, SyntaxError, ValueError) as error:
                self.stderr.write(f"{_shown(path)} is left out: {error}")
                continue
            if report.findings or report.imports:
                yield path, source, report

    def _say(self, path: Path, report: Report) -> None:
        heading = f"{_shown(path)}: {_counts(Counter(f.kind for f in report.findings))}"
        self.stdout.write(self.style.MIGRATE_HEADING(heading))
        for found in report.findings:
            if found.kind == SUPPORTED:
                continue
            line = f"  {found.line:4}  {found.kind:9}  {found.what}"
            advice = f": {found.advice}" if found.advice else ""
            self.stdout.write(f"{line}{advice}")

    def _conclude(self, total: Counter[str], changed: int, *, write: bool) -> None:
        if not total.total() and not changed:
            self.stdout.write("Nothing of Celery was found.")
            return
        self.stdout.write(f"In all: {_counts(total)}.")
        files = counted(changed, "file")
        if changed and write:
            self.stdout.write(f"The imports of {files} were changed.")
        elif changed:
            self.stdout.write(f"--write would change the imports of {files}.")
        else:
            self.stdout.write("No import is left to be changed.")
        if total[REFUSED] or total[WRONG]:
            self.stdout.write("By hand: what is refused or misspelt above.")
        elif write or not changed:
            self.stdout.write("Nothing is refused or misspelt: the code is moved.")

    def _tell_of_queues(self, named: set[str]) -> bool:
        """Tell which queues the code names that TASKS does not list, if there are."""
        backend = our_backends().get("default")
        listed = set(backend.queues) if backend else set[str]()
        missing = sorted(named - listed) if listed or not backend else []
        if missing:
            names = ", ".join(map(repr, missing))
            self.stdout.write(f"By hand: add to QUEUES of TASKS['default']: {names}.")
        return bool(missing)

    def _tell_of_the_rest(self, folders: list[Path]) -> None:
        for find, words in (
            (files.starters, _STARTERS),
            (files.requirements, _REQUIREMENTS),
        ):
            found = [item for folder in folders for item in find(folder)]
            if found:
                self.stdout.write(words)
            for path, number, line in found:
                self.stdout.write(f"  {_shown(path)}:{number}: {line[:100]}")


def _shown(path: Path) -> Path:
    """Return the path as seen from here, if it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _counts(found: Counter[str]) -> str:
    said = (f"{found[kind]} {kind}" for kind in _KINDS if found[kind])
    return ", ".join(said) or "imports"
