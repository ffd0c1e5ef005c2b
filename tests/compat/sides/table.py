"""Runs the project on both sides, and writes their answers side by side."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SIDES = ("celery", "dbqueue")
PAGE = ROOT / "docs" / "reference" / "celery.md"
_PROJECT = Path(__file__).parent / "shop"

# Answers that differ, by the question, and why they should.
_ENDED = "The state says that it has ended; nothing is delivered again."
_WORKFLOWS = "Workflows come later; until then the call is refused in words."
_NAN = "JSON has no NaN, and PostgreSQL refuses it: so does the call."
_NAMED = "A TypeError, which names the argument."
_ARRIVES = "It arrives as it left."
DIFFERENCES = {
    "Ignore, worker": _ENDED,
    "Reject, eager": "The words are the reason.",
    "Reject, worker": _ENDED,
    "a chain, eager": _WORKFLOWS,
    "a chain, worker": _WORKFLOWS,
    "a revoked task, worker": "It is revoked at once, and not once it is due.",
    "an argument: NaN, eager": _NAN,
    "an argument: NaN, worker": _NAN,
    "an argument: set, eager": _NAMED,
    "an argument: set, worker": _NAMED,
    "an argument: timedelta, eager": _ARRIVES,
    "an argument: timedelta, worker": _ARRIVES,
    "ignore_result, worker": "The state is kept, the result is not.",
}


def asked(side, folder):
    """Return the answers of one side, as it runs in a folder of its own."""
    project = folder / "shop"
    shutil.copytree(_PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "shop.settings",
        "PROJECT_VAR": str(folder),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{project}",
        "SIDE": side,
    }

    def run(*command):
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            cwd=project,
            capture_output=True,
            text=True,
        )
        assert not done.returncode, done.stderr[-4000:]
        return done.stdout

    if side == "dbqueue":
        # The tool that users have moves it; nothing is changed by hand.
        run("-m", "django", "migrate_from_celery", "--write", str(project))
        run("-m", "django", "migrate", "-v0")
    return json.loads(run("ask.py").splitlines()[-1])


def differing(answers):
    """Return the questions that the two answer differently."""
    one, other = (answers[side] for side in SIDES)
    return {name for name in one.keys() | other.keys() if one[name] != other[name]}


def page(answers):
    """Return the page of the documentation."""
    one, other = (answers[side] for side in SIDES)
    unequal = differing(answers)
    lines = [
        "# Celery and dbqueue, side by side",
        "",
        "One project, written for Celery, answers the same questions on Celery "
        "(its worker, in memory)",
        "and on dbqueue, where `manage.py migrate_from_celery --write` has changed the "
        "imports.",
        f"{len(one) - len(unequal)} of {len(one)} answers are equal. The tests ask "
        "again.",
        "",
        "## Where they differ",
        "",
        "| Question | Celery | dbqueue | Why |",
        "|---|---|---|---|",
        *(
            f"| {name} | {said(one[name])} | {said(other[name])} | "
            f"{DIFFERENCES.get(name, '')} |"
            for name in sorted(unequal)
        ),
        "",
        "## Where they do not",
        "",
        "| Question | Both |",
        "|---|---|",
        *(f"| {name} | {said(one[name])} |" for name in sorted(one.keys() - unequal)),
    ]
    return "\n".join(lines) + "\n"


def row_of(text, question):
    """Return the row of a question in the page."""
    beginning = f"| {question} | "
    return next((line for line in text.splitlines() if line.startswith(beginning)), "")


def said(answer):
    text = json.dumps(answer, ensure_ascii=False).replace("|", "\\|")
    return f"`{text}`" if len(text) < 120 else f"`{text[:117]}`…"
