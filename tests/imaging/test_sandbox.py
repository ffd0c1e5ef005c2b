"""The sandbox from outside: what it survives, and what it keeps to itself."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dbqueue.exceptions import MissingExtra
from dbqueue.imaging import launcher, sandbox
from dbqueue.imaging.conversation import Conversation
from dbqueue.imaging.exceptions import ContentRejected, SandboxFailed
from dbqueue.imaging.order import Limits, Order
from dbqueue.imaging.policy import ImagePolicy, Variant
from tests.imaging import pictures
from tests.imaging.pictures import CORNERS, corners, data, near, quarters, read
from tests.support.processes import ROOT, wait_until

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def children(pid):
    """Return the pids of a process's children."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def zygote():
    """Return the pid of this process's zygote."""
    (pid,) = (
        child
        for child in children(os.getpid())
        if b"zygote" in Path(f"/proc/{child}/cmdline").read_bytes()
    )
    return pid


@pytest.fixture
def heavy():
    """A picture and variants that keep a child busy until it is killed."""
    picture = data(pictures.noise((4000, 3000)), quality=95)
    many = {str(n): Variant(3000 + n, format="AVIF", quality=100) for n in range(9)}
    return picture, many


@pytest.fixture
def thread():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def child_at_work():
    """Wait for a child that has begun to decode; return its pid."""
    return wait_until(lambda: children(zygote()), "a child is there")[0]


class TestAThumbnail:
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
    def test_a_thumbnail_is_a_small_jpeg_and_all_there_is(self, tmp_path, format):
        with tempfile.TemporaryFile() as source:
            source.write(data(quarters((900, 600)), format))
            source.flush()
            picture = sandbox.thumbnail(source.fileno(), tmp_path, size=120)

        assert (picture.width, picture.height) == (120, 80)
        assert list(tmp_path.iterdir()) == [picture.path]
        assert read(picture.path).format == "JPEG"
        assert near(corners(read(picture.path)), CORNERS, 16)


def test_the_client_does_not_load_pillow(tmp_path):
    (tmp_path / "source.jpg").write_bytes(data(quarters()))
    program = """
import os, sys
from pathlib import Path
from dbqueue.imaging import sandbox
from dbqueue.imaging.policy import ImagePolicy, Variant
source = os.open("source.jpg", os.O_RDONLY)
rendered = sandbox.render(source, ImagePolicy(), {"a": Variant(9)}, Path("."))
assert rendered.original.width == 96
assert not [name for name in sys.modules if name.startswith(("PIL", "django"))]
"""

    # From another folder, with nothing but a path: a plain checkout is enough.
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        check=True,
    )


def test_a_missing_pillow_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "find_spec", lambda name: None)
    launcher._launcher.close()

    with pytest.raises(MissingExtra, match=r"pip install 'dbqueue-django\[images\]'"):
        _render(data(quarters()), tmp_path)


def test_the_source_is_read_where_it_is_and_stays_there(render, tmp_path):
    path = tmp_path / "source"
    path.write_bytes(data(quarters()))
    with path.open("rb") as source:
        os.lseek(source.fileno(), 17, os.SEEK_SET)

        sandbox.render(source.fileno(), ImagePolicy(), {}, tmp_path)

        assert os.lseek(source.fileno(), 0, os.SEEK_CUR) == 17


def test_eight_threads_render_at_once(render):
    picture = data(pictures.noise((600, 400)))
    variants = {"a": Variant(100), "b": Variant(50, 50, fit="cover")}

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: render(picture, variants), range(24)))

    sizes = {
        (r.original.size, r.variants["a"].size, r.variants["b"].size) for r in made
    }
    assert len(sizes) == 1


def test_no_descriptor_stays_open(render):
    render(data(quarters()))
    before = len(os.listdir("/dev/fd"))

    for _ in range(5):
        render(data(quarters()))
    with pytest.raises(ContentRejected):
        render(data(quarters())[:300])

    assert len(os.listdir("/dev/fd")) == before


def test_a_file_that_cannot_be_opened_is_not_blamed_on_the_picture(render):
    with pytest.raises(SandboxFailed, match="Too many open files"):
        render(data(quarters()), limits=Limits(open_files=3))


def test_the_layers_of_the_sandbox_are_logged_when_it_starts(render, caplog):
    launcher._launcher.close()
    caplog.set_level("INFO", "dbqueue")

    render(data(quarters()))

    (record,) = (r for r in caplog.records if r.name == launcher.__name__)
    layers, missing = record.args
    assert tuple(layers) == launcher.layers()
    assert missing == [layer for layer in launcher.WANTED if layer not in layers]
    assert record.levelname == ("WARNING" if missing else "INFO")


@linux
class TestAChild:
    def test_a_sandboxed_child_that_is_killed_is_replaced_by_a_second_one(
        self, render, heavy, thread
    ):
        render(data(quarters()))
        job = thread.submit(render, heavy[0], {"a": Variant(3000, format="AVIF")})
        os.kill(child_at_work(), signal.SIGKILL)

        assert job.result().variants["a"].width == 3000

    def kill_twice(self, number):
        first = child_at_work()
        os.kill(first, number)
        second = wait_until(
            lambda: [pid for pid in children(zygote()) if pid != first], "a second"
        )
        os.kill(second[0], number)

    def test_a_sandboxed_child_that_crashes_twice_is_the_pictures_fault(
        self, render, heavy, thread
    ):
        render(data(quarters()))
        job = thread.submit(render, *heavy)

        self.kill_twice(signal.SIGSEGV)

        with pytest.raises(ContentRejected) as caught:
            job.result()
        assert caught.value.code == "decoder_crash"

    def test_a_sandboxed_child_that_is_killed_twice_is_the_machines_fault(
        self, render, heavy, thread
    ):
        render(data(quarters()))
        job = thread.submit(render, *heavy)

        self.kill_twice(signal.SIGKILL)

        with pytest.raises(SandboxFailed, match="short of memory"):
            job.result()

    def test_a_sandboxed_child_that_gets_no_time_is_the_machines_fault(
        self, render, heavy, thread
    ):
        render(data(quarters()))
        job = thread.submit(render, *heavy, limits=Limits(wall_seconds=2))

        os.kill(child_at_work(), signal.SIGSTOP)

        with pytest.raises(SandboxFailed, match="overloaded"):
            job.result()

    def test_a_sandboxed_child_dies_with_the_zygote(self, render, heavy, thread):
        render(data(quarters()))
        thread.submit(render, *heavy)
        pid, old = child_at_work(), zygote()

        os.kill(old, signal.SIGKILL)

        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the child is gone")
        launcher._launcher.close()

    def test_a_sandboxed_child_has_given_up_all_rights(self, render, heavy, thread):
        render(data(quarters()))
        job = thread.submit(render, heavy[0], {"a": Variant(3000, format="AVIF")})

        status = wait_until(lambda: _confined(child_at_work()), "it is confined")

        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert job.result()


def _confined(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    status = dict(line.split(":\t", 1) for line in text.splitlines())
    return status if status["NoNewPrivs"] == "1" else None


@linux
class TestADecoderThatWasTakenOver:
    ORDER = Order(policy=ImagePolicy(), variants={})

    def answer(self, said, folder):
        return sandbox._checked(said, self.ORDER, "PNG", folder)

    @pytest.mark.parametrize("code", ["all is well", ["damaged"], {}, None, 7])
    def test_a_decoder_that_was_taken_over_rejects_for_a_reason_that_is_known(
        self, tmp_path, code
    ):
        with pytest.raises(ContentRejected) as caught:
            self.answer({"rejected": code}, tmp_path)

        assert caught.value.code == "decoder_crash"

    @pytest.mark.parametrize(
        "make",
        [
            os.mkfifo,
            os.mkdir,
            lambda path: path.symlink_to("/etc/hostname"),
            lambda path: path.write_bytes(b"<html>"),
        ],
    )
    def test_a_decoder_that_was_taken_over_leaves_nothing_but_pictures(
        self, tmp_path, make
    ):
        make(tmp_path / "0.png")

        with pytest.raises(ContentRejected):
            self.answer({"pictures": [[1, 1, 1]]}, tmp_path)

    @pytest.mark.parametrize(
        "sizes",
        [[10**30, 1, 1], [True, 1, 1], [1, 0, 1], [1, 1, 10**9], [9000, 9000, 1]],
    )
    def test_a_decoder_that_was_taken_over_tells_no_size_that_cannot_be(
        self, tmp_path, sizes
    ):
        (tmp_path / "it").mkdir()
        (tmp_path / "it" / "0.png").write_bytes(data(quarters(), "PNG"))

        with pytest.raises(ContentRejected):
            self.answer({"pictures": [sizes]}, tmp_path / "it")

    def test_a_decoder_that_was_taken_over_cannot_end_the_talk_while_it_lives(
        self, thread
    ):
        near, far = socket.socketpair()
        verdict, pronounced = os.pipe()
        conversation = Conversation(near, verdict)
        far.sendall(b'{"status": 0, "cpu": 0, "pictures": []}\n')
        far.close()
        hold = thread.submit(conversation.hold, self.ORDER)
        wait_until(lambda: "pictures" in conversation.answer, "it has read that")

        assert not hold.done()
        assert conversation.status is None
        os.write(pronounced, b'{"status": 1, "cpu": 2}')
        os.close(pronounced)
        hold.result()
        assert (conversation.status, conversation.used) == (1, 2)
        os.close(verdict)
        near.close()

    def test_a_decoder_that_was_taken_over_is_not_listened_to_for_long(self):
        near, far = socket.socketpair()
        verdict, pronounced = os.pipe()
        conversation = Conversation(near, verdict)
        line = json.dumps({"x" * 100_000: 1}).encode() + b"\n"
        with ThreadPoolExecutor(2) as pool:
            talk = pool.submit(lambda: [far.send(line) for _ in range(1000)])
            hold = pool.submit(conversation.hold, self.ORDER)
            wait_until(lambda: conversation.flooded, "it has said too much")
            os.close(pronounced)  # as the zygote does, when the child is dead
            hold.result()
            near.close()

        assert isinstance(talk.exception(), ConnectionError)
        assert conversation.crashed
        assert len(conversation.answer) < 20
        far.close()
        os.close(verdict)


class TestTheZygote:
    def test_the_zygote_is_replaced_when_it_was_killed(self, render):
        render(data(quarters()))
        old = zygote()
        os.kill(old, signal.SIGKILL)

        assert render(data(quarters())).original.width == 96
        assert zygote() != old

    def test_a_zygote_that_dies_midway_costs_the_picture_nothing(
        self, render, heavy, thread
    ):
        render(data(quarters()))
        job = thread.submit(render, heavy[0], {"a": Variant(3000, format="AVIF")})
        child_at_work()
        os.kill(zygote(), signal.SIGKILL)

        assert job.result().variants["a"].width == 3000

    def test_the_zygote_has_no_environment(self, render):
        render(data(quarters()))

        names = Path(f"/proc/{zygote()}/environ").read_bytes().split(b"\0")

        known = set(launcher._ENVIRONMENT) | {"LD_LIBRARY_PATH", "LC_CTYPE", ""}
        assert {name.partition(b"=")[0].decode() for name in names} <= known

    def test_the_zygote_ends_with_its_client_and_so_does_its_child(self, tmp_path):
        (tmp_path / "source").write_bytes(data(pictures.noise((4000, 3000))))
        program = """
import os
from pathlib import Path
from dbqueue.imaging import sandbox
from dbqueue.imaging.policy import ImagePolicy, Variant
many = {str(n): Variant(3000 + n, format="AVIF", quality=100) for n in range(9)}
source = os.open("source", os.O_RDONLY)
print("ready", flush=True)
sandbox.render(source, ImagePolicy(), many, Path("."))
"""
        client = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        with client:
            client.stdout.readline()
            (mother,) = wait_until(lambda: children(client.pid), "a zygote")
            (child,) = wait_until(lambda: children(mother), "a child")
            client.kill()

        for pid in (mother, child):
            wait_until(lambda: not alive(pid), "the process is gone")  # noqa: B023

    def test_the_zygote_of_a_parent_is_not_used_by_its_fork(self, tmp_path):
        first, second = tmp_path / "first", tmp_path / "second"
        first.mkdir()
        second.mkdir()
        _render(data(quarters()), first)
        ours = zygote()

        pid = os.fork()
        if not pid:
            code = 1
            try:
                _render(data(quarters()), second)
                code = 0 if zygote() != ours else 2
            finally:
                launcher._launcher.close()
                os._exit(code)

        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert zygote() == ours
        _render(data(quarters()), first)

    def test_the_zygote_leaves_it_to_the_worker_to_stop(self, render, heavy, thread):
        render(data(quarters()))
        job = thread.submit(render, heavy[0], {"a": Variant(3000, format="AVIF")})
        child, mother = child_at_work(), zygote()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(child, number)
            os.kill(mother, number)

        assert job.result()
        assert zygote() == mother

    def test_the_zygote_does_not_hear_the_terminals_ctrl_c(self, render):
        render(data(quarters()))

        assert os.getsid(zygote()) != os.getsid(0)


def alive(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def _render(content, folder):
    with tempfile.TemporaryFile() as source:
        source.write(content)
        source.flush()
        return sandbox.render(source.fileno(), ImagePolicy(), {}, folder)
