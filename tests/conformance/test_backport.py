"""The backport of django.tasks: the whole suite knows it by the names it has now."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import django
import pytest

from dbqueue.tasks import framework
from tests.settings import BASE

NAMES = re.compile(r"\b(InvalidTask|InvalidTaskBackend)(Error)?\b")
SCRIPT = """
import django
django.setup()
from django_tasks import exceptions
from dbqueue.tasks import framework
from tests import tasks
try:
    framework.task_backends["nowhere"]
except framework.InvalidTaskBackend as error:
    print(type(error).__name__)
try:
    tasks.noop.using(priority=1000)
except framework.InvalidTask as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="this Django needs no backport")
def test_the_exceptions_of_the_backport_are_found_by_their_other_names(tmp_path):
    installed = Path(find_spec("django_tasks").origin).parent
    ending = "" if framework.InvalidTask.__name__.endswith("Error") else "Error"
    copy = shutil.copytree(installed, tmp_path / "django_tasks")
    for file in copy.rglob("*.py"):
        file.write_text(NAMES.sub(rf"\1{ending}", file.read_text()))

    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(BASE.parent)]),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    command = [sys.executable, "-c", SCRIPT]
    said = subprocess.check_output(command, env=environment, text=True)

    assert said.split() == [f"InvalidTaskBackend{ending}", f"InvalidTask{ending}"]
