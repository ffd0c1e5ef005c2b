"""A project with the shape of Celery's tutorial, of which the imports are changed."""

import os
import subprocess
import sys

import pytest
from django.db import connection

from tests.support.processes import ROOT

PROJECT = ROOT / "tests" / "compat" / "celery_project"
SEND = """
import django
django.setup()
from django.test import Client
from dbqueue.compat.celery.result import AsyncResult
data = {"name": "Ada", "email": "ada@example.com", "about_me": "I count."}
id = Client().post("/", data).content.decode()
assert AsyncResult(id).state == "PENDING", AsyncResult(id).state
print(id)
"""
LOOK = """
import django, sys
django.setup()
from dbqueue.compat.celery.result import AsyncResult
result = AsyncResult(sys.argv[1])
print(result.state, result.get(timeout=5))
"""


@pytest.mark.skipif(connection.vendor != "sqlite", reason="it has a file of its own")
def test_the_form_is_answered_and_the_mail_is_sent(tmp_path):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "core.settings",
        "PROJECT_VAR": str(tmp_path),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{PROJECT}",
    }

    def run(*command):
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert not done.returncode, done.stderr
        return done.stdout.strip()

    run("-m", "django", "migrate", "-v0")
    id = run("-c", SEND)
    run("-m", "django", "runworker", "--no-reload", "--drain")

    assert run("-c", LOOK, id) == "SUCCESS sent to ada@example.com"
    (mail,) = (tmp_path / "mail").iterdir()
    assert "summary.pdf" in mail.read_text()
