"""What a confined process can still do, tried out by one."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.processes import ROOT

TRIES = """
import json, os, socket
from dbqueue.imaging.child import confinement
from dbqueue.imaging.order import Limits

def write(size):
    with open("output", "wb") as output:
        output.write(bytes(size))

tries = {
    "write into the folder": lambda: write(900),
    "write much": lambda: write(2000),
    "read what was open": lambda: os.read(secret, 1),
    "read another file": lambda: open("../secret").read(),
    "write another file": lambda: open("../new", "w"),
    "run a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "connect": lambda: socket.create_connection(("127.0.0.1", port)),
    "allocate": lambda: bytearray(100_000_000),
    "see the environment": lambda: os.environ["HOME"],
    "open many files": lambda: [os.dup(1) for _ in range(20)],
}

def succeeds(attempt):
    try:
        attempt()
    except (OSError, MemoryError, KeyError):
        return False
    return True

answer = os.dup(1)
secret = os.open("../secret", os.O_RDONLY)
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
limits = Limits(memory=50_000_000, output_bytes=1000, open_files=20)
confinement.confine(limits, keep=[answer, listener.fileno()])
os.write(answer, json.dumps([name for name in tries if succeeds(tries[name])]).encode())
"""
LANDLOCK = """
import ctypes, sys
sys.exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 4)
"""


@pytest.fixture
def possible(tmp_path):
    """What a confined process managed to do."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret").write_text("secret")
    output = subprocess.check_output(
        [sys.executable, "-c", TRIES],
        cwd=tmp_path / "folder",
        env={"PYTHONPATH": str(ROOT), "HOME": "/root"},
    )
    return set(json.loads(output))


def test_the_folder_of_the_outputs_can_be_written(possible):
    assert "write into the folder" in possible


def test_the_limits_hold_and_nothing_is_inherited(possible):
    limited = {"write much", "allocate", "open many files"}
    inherited = {"read what was open", "see the environment"}

    assert not possible & (limited | inherited)


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_the_rest_of_the_machine_is_out_of_reach(possible):
    if subprocess.call([sys.executable, "-c", LANDLOCK]):
        pytest.skip("This kernel has no Landlock that knows TCP (Linux 6.7)")

    assert possible == {"write into the folder"}
    assert not os.path.exists("new")
