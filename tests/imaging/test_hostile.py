"""A decoder that runs the attacker's code, in the real child of the real sandbox."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from dbqueue.imaging import launcher
from dbqueue.imaging.exceptions import ContentRejected, SandboxFailed
from dbqueue.imaging.order import Limits
from tests.imaging.pictures import data, quarters
from tests.imaging.test_confinement import seccomp
from tests.imaging.test_sandbox import alive, children, zygote
from tests.support.processes import ROOT, wait_until

pytestmark = seccomp
DOUBLE = Path(__file__).parent / "hostile" / "pillow_heif.py"


@pytest.fixture
def attack(tmp_path, monkeypatch, render):
    """Return a function that has a picture decoded by code that does this."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    shutil.copy(DOUBLE, folder)
    picture = data(quarters(), "PNG")
    (folder / "picture.png").write_bytes(picture)
    monkeypatch.syspath_prepend(str(folder))

    def attack(name, /, *, limits=None, **known):
        launcher._launcher.close()  # the next one loads the double
        said = json.dumps({"attack": name, **known})
        (folder / "attack.json").write_text(said)
        return render(picture, limits=limits)

    yield attack
    launcher._launcher.close()


@pytest.fixture
def worth_it(tmp_path):
    """Return what an attacker may want: addresses, files, processes."""
    with ExitStack() as stack:
        path, name = str(tmp_path / "socket"), f"dbqueue-{os.getpid()}"
        ears = []
        for kind, how, address in (
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            (socket.AF_UNIX, socket.SOCK_STREAM, path),
            (socket.AF_UNIX, socket.SOCK_STREAM, "\0" + name),
        ):
            ear = stack.enter_context(socket.socket(kind, how))
            ear.bind(address)
            if how == socket.SOCK_STREAM:
                ear.listen()
            ears.append(ear)
        tcp, udp, *_ = ears
        secret = tmp_path / "secret"
        secret.write_text("secret")
        yield {
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "path": path,
            "name": name,
            "secret": str(secret),
            "folder": str(tmp_path),
            "pids": {"worker": os.getpid(), "worker's parent": os.getppid()},
        }


# What only Landlock forbids; where it is not there, seccomp and the limits are left.
FILES = ("read", "write", "list", "add", "cut a", "make a f", "delete", "move", "enter")


def test_a_hostile_decoder_reaches_nothing_and_nobody(attack, worth_it, tmp_path):
    with pytest.raises(SandboxFailed) as caught:
        attack("try_everything", **worth_it)

    text = str(caught.value)
    done = json.loads(text[text.index("[") : text.rindex("]") + 1])
    if "Landlock" not in launcher.layers():
        done = [name for name in done if not name.startswith(FILES)]
        assert done == []
        pytest.skip("NOT TESTED: its files, as this kernel has no Landlock")
    assert done == []
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_hostile_decoder_may_still_answer(attack):
    """What the others here could not do is forbidden, and not merely broken."""
    assert attack("answer_and_leave").original.width == 96


def test_a_hostile_decoder_cannot_change_the_file_after_the_check(attack):
    """It says that it has ended, hangs up, and writes on, until it is killed."""
    with pytest.raises((SandboxFailed, ContentRejected)):
        attack("change_it_after_the_answer", limits=Limits(wall_seconds=2))

    assert not children(zygote())


def lingering(mother):
    """Return the pid of the decoder once it is deaf, and has a second thread."""
    for pid in children(mother):
        if "\nThreads:\t2" in Path(f"/proc/{pid}/status").read_text():
            return pid
    return None


def is_gone(pid):
    return not alive(pid)


CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from dbqueue.imaging import sandbox
from dbqueue.imaging.policy import ImagePolicy
with open(sys.argv[1] + "/picture.png", "rb") as source:
    sandbox.render(source.fileno(), ImagePolicy(), {}, Path("."))
"""


@pytest.fixture
def lingering_client(attack, tmp_path):
    """Return a process, its zygote, and a decoder of it that is deaf."""
    folder = tmp_path / "hostile"
    (folder / "attack.json").write_text(json.dumps({"attack": "linger"}))
    command = [sys.executable, "-c", CLIENT, str(folder)]
    environment = {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as client:
        (mother,) = wait_until(lambda: children(client.pid), "a zygote")
        yield client, mother, wait_until(lambda: lingering(mother), "it lingers")
        client.kill()


def test_a_hostile_decoder_does_not_outlive_the_zygote(lingering_client):
    client, mother, decoder = lingering_client
    client.send_signal(signal.SIGSTOP)  # or it would end what the zygote leaves

    os.kill(mother, signal.SIGKILL)

    wait_until(lambda: is_gone(decoder), "the decoder is gone")


def test_a_hostile_decoder_does_not_outlive_the_worker(lingering_client):
    client, mother, decoder = lingering_client

    client.kill()

    for pid in (decoder, mother):
        wait_until(lambda: is_gone(pid), "it is gone")  # noqa: B023
