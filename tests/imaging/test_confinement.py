"""What a confined process can still do, tried out by one."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.processes import ROOT

TRIES = """
import fcntl, json, os, resource, signal, socket, sys
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
    "make a socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "fork": lambda: fork(),
    "fork by vfork": lambda: syscall(58),
    "leave the session": os.setsid,
    "kill the parent": lambda: os.kill(parent, 0),
    "kill the parent by a file": lambda: fcntl.fcntl(answer, fcntl.F_SETOWN, parent),
    "limit the parent": lambda: resource.prlimit(parent, resource.RLIMIT_CPU),
    "slow the parent down": lambda: os.setpriority(os.PRIO_PROCESS, parent, 19),
    "trace the parent": lambda: syscall(101, 0x4206, parent, 0, 0),
    "outlive the parent": lambda: confinement._prctl(1, 0),
    "change a mode": lambda: os.chmod("../secret", 0o777),
    "change a time": lambda: os.utime("../secret"),
    "make a link": lambda: os.symlink("../secret", "link"),
    "use a call that is too new": lambda: syscall(463),
    "use io_uring": lambda: syscall(425, 1, None),
    "use the calls of x32": lambda: syscall(0x40000000 + 39),
    "allocate": lambda: bytearray(100_000_000),
    "see the environment": lambda: os.environ["HOME"],
    "open many files": lambda: [os.dup(1) for _ in range(20)],
}

def fork():
    if not os.fork():
        os._exit(0)

def syscall(number, *arguments):
    if os.uname().machine != "x86_64":
        raise OSError
    if confinement._LIBC.syscall(number, *arguments) < 0:
        raise OSError

def succeeds(attempt):
    try:
        attempt()
    except (OSError, MemoryError, KeyError):
        return False
    return True

answer = os.dup(1)
parent = os.getppid()
secret = os.open("../secret", os.O_RDONLY)
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
limits = Limits(memory=50_000_000, output_bytes=1000, open_files=20)
if sys.argv[1:] == ["without Landlock"]:
    confinement._see_only_this_folder = lambda: confinement._call("prctl", -1)
confined = confinement.confine(limits, keep=[answer, listener.fileno()])
done = [name for name in tries if succeeds(tries[name])]
os.write(answer, json.dumps([done, confined.layers]).encode())
"""
LANDLOCK = """
import ctypes, sys
sys.exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 4)
"""


FILES = {"read another file", "write another file"}  # which are Landlock's matter

seccomp = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"),
    reason="The filter of system calls knows Linux on x86-64 and 64-bit ARM",
)


def tried(folder, *arguments):
    """Return what a confined process managed to do, and its layers."""
    (folder / "folder").mkdir()
    (folder / "secret").write_text("secret")
    output = subprocess.check_output(
        [sys.executable, "-c", TRIES, *arguments],
        cwd=folder / "folder",
        env={"PYTHONPATH": str(ROOT), "HOME": "/root"},
    )
    done, layers = json.loads(output)
    return set(done), layers


@pytest.fixture(scope="module")
def possible(tmp_path_factory):
    """What a confined process managed to do."""
    return tried(tmp_path_factory.mktemp("confined"))[0]


def test_the_folder_of_the_outputs_can_be_written(possible):
    assert "write into the folder" in possible


def test_the_limits_hold_and_nothing_is_inherited(possible):
    limited = {"write much", "allocate", "open many files"}
    inherited = {"read what was open", "see the environment"}

    assert not possible & (limited | inherited)


@seccomp
def test_the_rest_of_the_machine_is_out_of_reach(possible):
    if subprocess.call([sys.executable, "-c", LANDLOCK]):
        pytest.skip("This kernel has no Landlock that knows TCP (Linux 6.7)")

    assert possible == {"write into the folder"}


@seccomp
def test_a_kernel_without_landlock_still_refuses_all_but_files(tmp_path):
    possible, layers = tried(tmp_path, "without Landlock")

    assert possible <= {"write into the folder", *FILES}
    assert "seccomp" in layers
    assert "Landlock" not in layers
