"""A project with the shape of Celery's tutorial, of which the imports are changed."""

import os
import subprocess
import sys
from email import message_from_string
from importlib import import_module

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
assert b"<form" in Client().get("/").content
assert b"valid email" in Client().post("/", data | {"email": "ada"}).content
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


def weasyprint():
    """Return why there is no WeasyPrint, "" if there is one."""
    try:
        import_module("weasyprint")
    except (ImportError, OSError) as error:  # its package, or Pango
        return f"SKIPPED LOUDLY: no WeasyPrint here, so no real PDF is made: {error}"
    return ""


@pytest.mark.skipif(connection.vendor != "sqlite", reason="it has a file of its own")
@pytest.mark.parametrize(("pdf", "least"), [("plain", 8), ("weasyprint", 3000)])
def test_the_form_is_answered_and_the_mail_is_sent(tmp_path, pdf, least):
    if pdf == "weasyprint" and (missing := weasyprint()):
        pytest.skip(missing)
    environment = {
        **os.environ,
        "PROJECT_PDF": pdf,
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
    message = message_from_string(mail.read_text())
    assert message["To"] == "ada@example.com"
    for part in message.walk():
        if part.get_filename() == "summary.pdf":
            made = part.get_payload(decode=True)
            assert made.startswith(b"%PDF")
            assert len(made) >= least
            return
    pytest.fail("The mail has no summary.pdf.")
