"""A worker beside gunicorn and uvicorn, by the recipes of the documentation."""

import re
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import tasks
from tests.support.processes import (
    ROOT,
    on_demand,
    wait_until,
    wait_until_finished,
)
from tests.worker.test_runserver import commands, gone, the_worker

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [pytest.mark.django_db(transaction=True), on_demand]
PAGE = ROOT / "docs" / "how-to" / "production.md"
WSGI = """
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""


def recipe(name):
    """Return the block of the page whose first line is the name of a file."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    (found,) = (block for block in blocks if block.startswith(f"# {name}\n"))
    return found


@pytest.fixture
def serve(start, witness, tmp_path):
    """Return a function that starts a web server in a folder with these files."""
    witness.looks_away = True

    def serve(*words, **files):
        for name, text in files.items():
            Path(tmp_path, f"{name}.py").write_text(text)
        paths = ":".join([str(tmp_path), *filter(None, sys.path)])
        return start([sys.executable, "-m"], words, PYTHONPATH=paths)

    return serve


@pytest.mark.skipif(not find_spec("gunicorn"), reason="pip install gunicorn")
def test_gunicorn_starts_restarts_and_stops_a_worker(serve, tmp_path):
    hooks = recipe("gunicorn.conf.py")
    words = ("gunicorn", "-b", "127.0.0.1:0", "-c", tmp_path / "hooks.py", "served")
    server = serve(*words, hooks=hooks, served=WSGI)
    first = the_worker()
    assert wait_until_finished(tasks.add.enqueue(1, 2)).result == 3

    server.tell(signal.SIGHUP)
    second = the_worker(other_than=first)
    wait_until(lambda: gone(first), "the worker of before has ended")

    assert server.stop() == 0
    wait_until(lambda: gone(second), "the worker has ended")


@pytest.mark.skipif(not find_spec("gunicorn"), reason="pip install gunicorn")
def test_no_worker_is_left_when_gunicorn_is_killed(serve, tmp_path):
    hooks = recipe("gunicorn.conf.py")
    words = ("gunicorn", "-b", "127.0.0.1:0", "-c", tmp_path / "hooks.py", "served")
    server = serve(*words, hooks=hooks, served=WSGI)
    worker = the_worker()

    server.tell(signal.SIGKILL)

    wait_until(lambda: gone(worker), "the worker has ended")


def test_uvicorn_has_one_worker_while_it_runs(serve):
    words = ("uvicorn", "asgi:application", "--port", "0", "--workers", "2")
    server = serve(*words, asgi=recipe("mysite/asgi.py"))
    worker = the_worker()
    assert wait_until_finished(tasks.add.enqueue(1, 2)).result == 3
    wait_until(lambda: server.output.count("startup complete") == 2, "both serve")
    assert commands() == {worker}

    server.stop()

    wait_until(lambda: gone(worker), "the worker has ended")
