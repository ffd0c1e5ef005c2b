"""Lets a worker die by SIGKILL at a chosen moment of an upload, a number of times.

DBQUEUE_TEST_DEATHS is a JSON object of stage and number; DBQUEUE_TEST_DEATHS_AT a
folder that counts them for all processes.
"""

import json
import os
import signal
from pathlib import Path

from django.core.files.storage import FileSystemStorage
from django.db.backends.signals import connection_created

from dbqueue.tasks.framework import task_finished, task_started

DEATHS = json.loads(os.environ.get("DBQUEUE_TEST_DEATHS", "{}"))
FOLDER = Path(os.environ.get("DBQUEUE_TEST_DEATHS_AT", "."))


def die_at(stage):
    """End this process at once, if it is one of so many deaths at this stage."""
    for number in range(DEATHS.get(stage, 0)):
        try:
            (FOLDER / f"{stage}-{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)


class DeadlyStorage(FileSystemStorage):
    def _save(self, name, content):
        saved = super()._save(name, content)
        die_at("stored")
        return saved


def watch_statements(connection, **kwargs):
    def execute(run, sql, params, many, context):
        result = run(sql, params, many, context)
        if sql.startswith('UPDATE "gallery_profile"'):
            die_at("written")
        return result

    connection.execute_wrappers.append(execute)


def on_start(**kwargs):
    die_at("claimed")


def on_finish(**kwargs):
    die_at("committed")


if DEATHS:
    connection_created.connect(watch_statements)
    task_started.connect(on_start)
    task_finished.connect(on_finish)
