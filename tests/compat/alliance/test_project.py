"""A project that has the package itself moves to dbqueue, by the steps of the guide."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.db import connection

from tests.support.buckets import SERVERS
from tests.support.processes import ROOT, on_demand

# The Python of an environment with the package, djangorestframework, and what dbqueue
# needs with its extras images and postgres.
PYTHON = os.environ.get("DBQUEUE_TEST_ALLIANCE") or str(SERVERS / "alliance/bin/python")
PROJECT = ROOT / "tests" / "compat" / "alliance_project"
GUIDE = ROOT / "docs" / "how-to" / "from-alliance-platform-storage.md"
SCHEMA = "clinic"
# What the guide has changed in the settings.
SETTINGS = """
INSTALLED_APPS[INSTALLED_APPS.index("alliance_platform.storage")] = "dbqueue"
MIDDLEWARE += ["dbqueue.fields.middleware.UploadFieldsMiddleware"]
TASKS = {
    "default": {
        "BACKEND": "dbqueue.backend.DatabaseBackend",
        "QUEUES": ["default", "uploads"],
    },
}
"""
ITS_PLACE = "its file is in its place"
WAITS = "it waits for its form, or is deleted"
NOTES = [
    *[ITS_PLACE] * 3,
    *(f"a worker brings it to clinic.Visit {pk}" for pk in (3, 4)),
    *[WAITS] * 2,
]

pytestmark = [
    on_demand,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not Path(PYTHON).exists(),
        reason="NO ALLIANCE-PLATFORM-STORAGE HERE: run tests/servers, or name in "
        "DBQUEUE_TEST_ALLIANCE the Python of an environment with it",
    ),
]


class Project:
    """Its folder, and what is run there."""

    def __init__(self, folder, database):
        self.folder = folder
        self.environment = {
            **os.environ,
            "CLINIC_DATABASE": json.dumps(database),
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        }

    def manage(self, *words):
        return self._run([PYTHON, "manage.py", *words])

    def execute(self, module):
        self.manage("shell", "-v0", "-c", f"import {module}")

    def shell(self, text):
        return self._run(["sh", "-ec", text])

    def imported(self, *options):
        """Take over what waits; return what is said of it."""
        told = self.manage("import_alliance_uploads", "--json", *options)
        return [json.loads(line) for line in told.splitlines()]

    def _run(self, command):
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.returncode, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def database(tmp_path):
    """Give the entry of DATABASES for tables that are the project's alone."""
    entry = {
        key: connection.settings_dict[key]
        for key in ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")
    }
    if connection.vendor == "sqlite":
        options = connection.settings_dict["OPTIONS"]
        yield {**entry, "NAME": str(tmp_path / "clinic.db"), "OPTIONS": options}
        return
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {SCHEMA}")
    yield {**entry, "OPTIONS": {"options": f"-c search_path={SCHEMA}"}}
    with connection.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


@pytest.fixture
def project(tmp_path, database):
    """Return the project as it is before, with files in all states."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder)
    found = Project(folder, database)
    found.manage("makemigrations", "-v0", "clinic")
    if connection.vendor == "sqlite":  # its second migration is PostgreSQL's
        found.manage("migrate", "-v0", "alliance_platform_storage", "0001")
        found.manage("migrate", "-v0", "--fake", "alliance_platform_storage")
    found.manage("migrate", "-v0")
    found.execute("before")
    return found


def commands_of_the_guide():
    return re.findall(r"```shell\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def test_a_project_moves_by_the_steps_of_the_guide(project):
    change_imports, *_ = commands_of_the_guide()
    project.shell("git init -q . && git add .")
    project.shell(change_imports)
    with (project.folder / "settings.py").open("a") as file:
        file.write(SETTINGS)
    project.manage("check", "--fail-level", "WARNING")
    assert "No changes" in project.manage("makemigrations")
    project.manage("migrate", "-v0")

    tried = project.imported("--dry-run")
    moved = project.imported()
    again = project.imported()
    project.manage("runworker", "--drain", "-v0")

    assert [item["note"] for item in moved] == NOTES
    assert {item["outcome"] for item in moved} == {"moved"}
    assert (tried, again) == (moved, [])
    project.execute("after")
