import re
import subprocess
import sys
import tomllib
from importlib import import_module

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

import dbqueue
from tests.settings import BASE

ROOT = BASE.parent
SOURCES = sorted((ROOT / "dbqueue").rglob("*.py"))


def test_the_first_migration_is_found_beside_the_package():
    module = import_module("dbqueue.migrations.0001_initial")

    assert module.Migration.initial is True
    assert ("dbqueue", "0001_initial") in MigrationLoader(None).disk_migrations


@pytest.mark.django_db
def test_the_models_need_no_other_migration():
    call_command("makemigrations", "dbqueue", check=True, dry_run=True, verbosity=0)


def test_every_public_name_can_be_fetched():
    for name in dbqueue.__all__:
        assert getattr(dbqueue, name).__name__ == name


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="has no attribute 'enqeue'"):
        dbqueue.enqeue  # noqa: B018


def test_raw_sql_is_spoken_in_the_dialects_only():
    raw = re.compile(r"\bcursor\(|\.raw\(|\bRunSQL\b|\bRawSQL\b|\.extra\(")
    speakers = {
        path.relative_to(ROOT / "dbqueue").parts[0]
        for path in SOURCES
        if raw.search(path.read_text())
    }

    # A command asks which tables there are: introspection needs a cursor.
    assert speakers <= {"dialects", "management"}
    for path in (ROOT / "dbqueue" / "management").rglob("*.py"):
        # Django's commands have a method of that name.
        assert ".execute(" not in path.read_text().replace("super().execute(", "")


def test_values_are_never_formatted_into_sql():
    for path in (ROOT / "dbqueue" / "dialects").rglob("*.py"):
        assert not re.search(r"execute\(\s*f['\"].*\{", path.read_text()), path


def test_what_the_documentation_is_built_with_can_be_installed_without_groups():
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]

    quoted = " ".join(f'"{requirement}"' for requirement in groups["docs"])

    assert f"pip install {quoted}\n" in (ROOT / "CONTRIBUTING.md").read_text()


def test_the_readme_of_the_distribution_has_no_link_that_pypi_could_not_follow():
    hooks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]
    (rule,) = hooks["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]

    text = re.sub(
        rule["pattern"], rule["replacement"], (ROOT / "README.md").read_text()
    )

    links = re.findall(r"\]\(([^)]*)\)", text)
    assert all(link.startswith("https://") for link in links)
    assert "The quickstart explains it step by step." in text


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "dbqueue" / "py.typed").exists()


def test_the_package_imports_without_settings():
    code = "import dbqueue, dbqueue.apps, dbqueue.pytest_plugin; print('fine')"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )

    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_the_app_is_called_by_its_name():
    assert apps.get_app_config("dbqueue").name == "dbqueue"
