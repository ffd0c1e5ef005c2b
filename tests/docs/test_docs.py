"""The documentation: its examples run, its reference is complete, and it builds."""

import doctest
import re
import subprocess
import sys
import tomllib
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from importlib.util import find_spec
from inspect import getmembers, isclass, isfunction, signature
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import django
import pytest
from django.conf import global_settings
from django.core import mail
from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from django.db import connection, models, transaction
from django.dispatch import Signal
from django.test import SimpleTestCase, override_settings
from django.test.utils import isolate_apps

import dbqueue
from dbqueue import (
    conf,
    exceptions,
    progress,
    signals,
    status,
    testing,
    uploads,
    wings,
)
from dbqueue.backend import our_backends
from dbqueue.compat.conf import CompatSettings
from dbqueue.fields import exceptions as field_exceptions
from dbqueue.fields.conf import FieldSettings
from dbqueue.fields.models import FieldUpload
from dbqueue.jobs import events, outcomes
from dbqueue.limits import exceptions as limit_exceptions
from dbqueue.models import (
    Call,
    ClusterStat,
    Dispatch,
    FinishedJob,
    Job,
    JobFile,
    JobLog,
    Lane,
    LimitRule,
    Package,
    Pause,
    Schedule,
    SpoolBody,
    Throttle,
    Upload,
    UploadArtifact,
    UploadChunk,
    Worker,
)
from dbqueue.progress.conf import ProgressSettings
from dbqueue.relay import exceptions as relay_exceptions
from dbqueue.schedules import exceptions as schedule_exceptions
from dbqueue.schedules import public
from dbqueue.schedules.conf import ScheduleSettings
from dbqueue.tasks import decorator, framework
from dbqueue.tasks.context import JobContext
from dbqueue.tasks.results import JobResult
from dbqueue.tasks.task import Task
from dbqueue.testing import run_jobs
from dbqueue.uploads import exceptions as upload_exceptions
from dbqueue.uploads import signals as upload_signals
from dbqueue.uploads.conf import UploadSettings
from tests.gallery.models import Profile

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
REFERENCE = ROOT / "docs" / "reference"
COMMANDS = [
    *("runworker", "queuestatus", "prunejobs", "schedules", "uploads_cleanup"),
    "runrelay",
]
_SIGNALS = [  # which examples connect receivers to
    found
    for module in (signals, framework, upload_signals)
    for _, found in getmembers(module, lambda value: isinstance(value, Signal))
]
WORKER = "run the jobs"  # in a comment of a page: here somebody starts a worker

_BLOCK = re.compile(
    rf"^```(?P<kind>python|pycon)(?P<how>[ \w-]*)\n(?P<code>.*?)^```$"
    rf"|^<!-- (?P<note>{WORKER}) -->$",
    re.MULTILINE | re.DOTALL,
)


class Page:
    """The blocks of a page, run in order, in modules that they can import."""

    def __init__(self, path, request):
        self.path = path
        self.request = request
        self.text = path.read_text()
        self.namespace = self.module(f"docs_{path.stem.replace('-', '_')}")
        self.module("shop.models").Account = make_account()
        self.module("people.models").Profile = Profile

    def run(self):
        for block in _BLOCK.finditer(self.text):
            how = (block["how"] or "").strip()
            if block["note"]:
                run_jobs(scheduled=True)
            elif block["kind"] == "pycon":
                self.doctest(block)
            elif how == "settings":
                self.check_settings(block)
            elif how != "no-run":
                self.execute(block)

    def execute(self, block):
        name = re.match(r"# ([\w/]+)\.py\n", block["code"])
        module = self.module(name[1].replace("/", ".")) if name else self.namespace
        known = set(vars(module))
        exec(self.compiled(block), vars(module))
        for name in set(vars(module)) - known:
            self.test(getattr(module, name), module)

    def test(self, found, module):
        """Run what a block defines as a test, if it does."""
        if getattr(found, "__module__", None) != module.__name__:
            return
        if isclass(found) and issubclass(found, SimpleTestCase):
            for name in filter(_is_test, vars(found)):
                # Its class would close the connection when it is done.
                with alone(), override_settings(**found._overridden_settings or {}):
                    getattr(found(name), name)()
        elif isfunction(found) and _is_test(found.__name__):
            names = signature(found).parameters
            with alone():
                found(**{name: self.request.getfixturevalue(name) for name in names})

    def doctest(self, block):
        test = doctest.DocTestParser().get_doctest(
            block["code"], {}, self.path.name, str(self.path), self.line(block)
        )
        test.globs = vars(self.namespace)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        told = []
        runner.run(test, out=told.append, clear_globs=False)
        assert not runner.failures, "".join(told)

    def check_settings(self, block):
        given = {
            "BASE_DIR": ROOT,
            "INSTALLED_APPS": [],
            "MIDDLEWARE": [],
        }
        exec(self.compiled(block), given)
        unknown = {
            name
            for name in given
            if name.isupper() and not hasattr(global_settings, name)
        }
        assert unknown <= {"BASE_DIR", "DBQUEUE", "TASKS"}
        changes = {key: given[key] for key in ("DBQUEUE", "TASKS") if key in given}
        with override_settings(**changes):
            conf.current()
            for backend in our_backends().values():
                assert not [m for m in backend.check() if m.is_serious()]

    def compiled(self, block):
        code = block["code"]
        if django.VERSION < (6, 0):  # as the quickstart says
            code = code.replace("django.tasks", "django_tasks")
        return compile("\n" * self.line(block) + code, str(self.path), "exec")

    def line(self, block):
        return self.text[: block.start()].count("\n") + 1

    def module(self, name):
        """Return the module of that name, made if it is not there; parents, too."""
        parent, _, child = name.rpartition(".")
        if name not in sys.modules:
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__path__ = []
            if parent:
                setattr(self.module(parent), child, sys.modules[name])
        return sys.modules[name]


def make_account():
    """Return a model that stands for the readers' own; its table goes with the test."""
    with isolate_apps("tests"):

        class Account(models.Model):
            balance = models.IntegerField()

            class Meta:
                app_label = "tests"

            def __str__(self):
                return str(self.balance)

    # Not by an editor that was entered: SQLite allows none inside a transaction.
    sql, params = connection.SchemaEditorClass(connection).table_sql(Account)
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
    return Account


@contextmanager
def alone():
    """Leave nothing behind, and find nothing of what the page did before."""
    around = transaction.atomic()
    around._from_testcase = True  # what is durable may be inside, as in a TestCase
    with around:
        Job.objects.all().delete()
        mail.outbox.clear()
        yield
        transaction.set_rollback(True)


def _is_test(name):
    return name.startswith("test_")


@pytest.fixture
def page(request, db, settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)
    with ExitStack() as stack:
        stack.enter_context(patch.dict(sys.modules))
        stack.enter_context(patch.dict("dbqueue.tasks.registry._resolved"))
        stack.enter_context(patch.dict("dbqueue.tasks.decorator.declared_tasks"))
        declared = "dbqueue.schedules.declared.declarations.declared"
        stack.enter_context(patch.dict(declared))
        for signal in _SIGNALS:
            stack.enter_context(patch.object(signal, "receivers", [*signal.receivers]))
        yield Page(request.param, request)


def read(name):
    return (REFERENCE / name).read_text()


@pytest.mark.parametrize(
    "page", PAGES, indirect=True, ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_examples_of_a_page_run(page):
    page.run()


def test_every_setting_is_documented_with_its_default():
    parts = re.split(
        r"\n### (?:SCHEDULES|UPLOADS|PROGRESS|FIELDS|COMPAT)\n", read("settings.md")
    )

    kinds = (
        *(conf.Settings, ScheduleSettings, UploadSettings, ProgressSettings),
        *(FieldSettings, CompatSettings),
    )
    for text, kind in zip(parts, kinds, strict=True):
        documented = re.findall(r"^#### (\w+)\n\n.*Default `(.*)`\.$", text, re.M)
        default = kind()
        defaults = {
            f.name.upper(): repr(getattr(default, f.name)) for f in fields(kind)
        }
        assert dict(documented) == defaults


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_documented(command):
    section = re.search(
        rf"^## {command}\n.*?(?=^## |\Z)", read("commands.md"), re.M | re.S
    )
    documented = set(re.findall(r"--[a-z-]+", "".join(_terms(section[0]))))

    assert documented == _options(command) - _options(None)


def test_every_check_is_documented():
    code = "".join(path.read_text() for path in (ROOT / "dbqueue").rglob("*.py"))
    documented = re.findall(r"^`dbqueue\.([EW]\d{3})`$", read("checks.md"), re.M)

    assert sorted(documented) == sorted(set(re.findall(r"dbqueue\.([EW]\d{3})", code)))


def test_every_option_of_a_task_is_documented():
    documented = re.findall(r"^\(option-[a-z-]+\)=\n`(\w+)`$", read("api.md"), re.M)

    of_wings = {name for wing in wings.modules("options") for name in wing.OPTIONS}
    assert decorator._OPTIONS <= set(documented) <= decorator._OPTIONS | of_wings


def test_every_parameter_of_using_is_documented():
    text = re.search(r"^#### using\n(.*?)^### ", read("api.md"), re.M | re.S)[1]

    for name in signature(Task.using).parameters.keys() - {"self"}:
        assert f"`{name}`" in text


def test_every_public_name_is_documented():
    headings = set(re.findall(r"^#+ (\w+)$", read("api.md"), re.M))
    terms = {term.strip("`").partition("(")[0] for term in _terms(read("api.md"))}

    assert {*dbqueue.__all__, *public.__all__} <= headings
    ours = {name for name in uploads.__all__ if not name.startswith("a")}
    assert ours - {"ContentRejected", "UploadError"} <= headings
    assert set(progress.__all__) <= headings
    assert set(testing.__all__) <= terms


def test_every_exception_is_documented():
    ours = {
        name
        for name, found in getmembers(exceptions, isclass)
        if found.__module__ == exceptions.__name__
    } | {
        *upload_exceptions.__all__,
        *field_exceptions.__all__,
        *limit_exceptions.__all__,
        *relay_exceptions.__all__,
        *schedule_exceptions.__all__,
    }

    assert {term.strip("`") for term in _terms(read("exceptions.md"))} == ours


def test_every_field_of_a_result_is_documented():
    documented = _cells(read("results.md"))

    assert {f.name for f in fields(JobResult) if f.init} <= documented


def test_every_attribute_of_a_context_is_documented():
    reference = (REFERENCE / "api.md").read_text()
    own = {name for name in dir(JobContext) if not name.startswith("_")}

    assert not {name for name in own if f"`{name}" not in reference}


def test_every_field_and_reason_of_an_attempt_is_documented():
    documented = _cells(read("results.md"))
    source = Path(outcomes.__file__).read_text()

    written = set(re.findall(r'record\["(\w+)"\]|^ {8}"(\w+)": ', source, re.M))
    assert {name for pair in written for name in pair if name} <= documented
    reasons = "failed|timeout|snoozed|cancelled|released|lost"
    found = set(re.findall(f'"({reasons})"', source))
    assert found == set(reasons.split("|"))
    assert found <= documented


def test_every_event_and_every_field_of_one_is_documented():
    text = read("signals.md")

    for name, found in vars(signals).items():
        assert not isinstance(found, Signal) or f"`{name}`" in text
    for kind in (events.JobEvent, events.WorkerEvent):
        for field in fields(kind):
            assert f"`{field.name}`" in text


@pytest.mark.parametrize(
    "model",
    [
        *(Job, FinishedJob, Worker, Pause, LimitRule, Lane, Schedule, Throttle),
        *(Upload, UploadArtifact, UploadChunk, FieldUpload),
        *(JobFile, JobLog, SpoolBody),
        *(Package, ClusterStat, Call, Dispatch),
    ],
)
def test_every_column_and_index_of_a_table_is_documented(model):
    documented = _cells(read("database.md"))

    columns = {field.column for field in model._meta.fields}
    assert columns - {None} <= documented  # of a key that is made of two
    assert {index.name for index in model._meta.indexes} <= documented
    assert f"## {model._meta.db_table}" in read("database.md")


def test_every_number_that_queuestatus_prints_is_documented():
    text = read("commands.md")

    for kind in (status.QueueStatus, status.WorkerStatus):
        for field in fields(kind):
            assert f"`{field.name}`" in text


def test_the_floors_are_those_of_the_import_contract():
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    text = (ROOT / "CONTRIBUTING.md").read_text()

    documented = re.findall(r"^\| \d+ \| `(\w+)` \|", text, re.M)
    layers = contracts[0]["layers"]
    assert documented == [room for layer in layers for room in layer.split(" | ")]


def test_no_page_tells_to_install_another_projects_package():
    for path in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        assert not re.search(r"pip install \"?dbqueue(?!-django)", path.read_text())


def test_links_from_the_readme_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^):#]+)\)", (ROOT / name).read_text()):
            assert (ROOT / target).exists(), target


@pytest.mark.skipif(
    not all(find_spec(name) for name in ("sphinx", "myst_parser", "furo")),
    reason="Not all is installed: pip install furo myst-parser sphinx",
)
def test_the_pages_build_without_a_warning(tmp_path, only_sqlite):
    command = [sys.executable, "-m", "sphinx", "-n", "-W", "-q", "-b", "html"]

    built = subprocess.run(
        [*command, ROOT / "docs", tmp_path], capture_output=True, text=True
    )

    assert not built.returncode, built.stderr
    assert (tmp_path / "index.html").exists()


def _terms(text):
    """Return the terms of the definition lists."""
    return re.findall(r"^(.+)\n: ", text, re.M)


def _cells(text):
    """Return the names in the first cells of the tables."""
    cells = re.findall(r"^\| (`.+?`) \|", text, re.M)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def _options(command):
    known = load_command_class("dbqueue", command) if command else BaseCommand()
    parser = known.create_parser("manage.py", command or "any")
    return {
        text
        for action in parser._actions
        for text in action.option_strings
        if text.startswith("--")
    }
