"""The process that loads Pillow once and forks a child for each picture.

It has one thread and no secrets: it was started new, with an empty environment. It
never opens a picture itself.
"""

import json
import os
import select
import signal
import socket
import traceback
from contextlib import suppress

from PIL import AvifImagePlugin, Image, MpoImagePlugin, WebPImagePlugin

from dbqueue.imaging.child import child
from dbqueue.imaging.child.confinement import adopt_orphans, confine
from dbqueue.imaging.order import Limits

# What a child would otherwise load again for each picture.
LOADED = (AvifImagePlugin, MpoImagePlugin, WebPImagePlugin)
Image.preinit()
# Pictures run in parallel; more threads for one would each cost a stack.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

with suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()

# The client has ended its half of the channel, or all of it: macOS has one word.
_HANGUP = getattr(select, "POLLRDHUP", select.POLLHUP)


def serve(control: int) -> None:
    """Fork a child for each order until the client has exited.

    An order is one byte with four descriptors: the source, the channel to the client,
    the folder of the outputs, and the pipe for the verdict on the child.
    """
    adopt_orphans()
    layers = _layers()
    Zygote(socket.socket(fileno=control)).run(layers)


def _layers() -> list[str]:
    """Return the layers of the sandbox that this system has, as a child finds them."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            found = confine(Limits(), keep=[writer])
            os.write(writer, json.dumps(found.layers).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        layers: list[str] = json.loads(answer.read() or "[]")
    os.waitpid(pid, 0)
    return layers


class Zygote:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        # The channel of each child, and the pipe for the verdict, by its pid.
        self._talks: dict[int, tuple[socket.socket, int]] = {}
        self._waker, alarm = socket.socketpair()
        alarm.setblocking(False)
        self._alarm = alarm
        signal.set_wakeup_fd(alarm.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

        # What a service manager sends to all processes is for the worker to act on: it
        # may have time to finish. The end of the client is the end of this, anyway.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def run(self, layers: list[str]) -> None:
        self._control.sendall(json.dumps(layers).encode() + b"\n")
        while self._turn():
            pass
        for pid in self._talks:
            os.kill(pid, signal.SIGKILL)

    def _turn(self) -> bool:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._waker, select.POLLIN)
        for channel, _ in self._talks.values():
            poll.register(channel, _HANGUP)
        ready = {descriptor for descriptor, _ in poll.poll()}
        self._kill_unwanted(ready)
        if self._waker.fileno() in ready:
            self._waker.recv(4096)
            self._reap()
        return self._control.fileno() not in ready or self._take_order()

    def _kill_unwanted(self, ready: set[int]) -> None:
        for pid, (channel, _) in self._talks.items():
            if channel.fileno() in ready:
                os.kill(pid, signal.SIGKILL)  # not reaped yet, so the pid is its own

    def _take_order(self) -> bool:
        order, descriptors, _, _ = socket.recv_fds(self._control, 1, 4)
        if not order:
            return False
        source, far, folder, verdict = descriptors
        channel = socket.socket(fileno=far)
        pid = self._fork(channel, source, folder, verdict)
        os.close(source)
        os.close(folder)
        if pid:
            self._talks[pid] = channel, verdict
        else:
            _end(channel, verdict)
        return True

    def _fork(
        self, channel: socket.socket, source: int, folder: int, verdict: int
    ) -> int:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            _tell(verdict, {"failed": f"fork: {error.strerror}"})
            return 0
        if pid:
            return pid
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            child.run(parent, channel, source, folder)
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _reap(self) -> None:
        for pid in list(self._talks):
            reaped, status, used = os.wait4(pid, os.WNOHANG)
            if reaped:
                self._kill_orphans()
                code = os.waitstatus_to_exitcode(status)
                cpu = used.ru_utime + used.ru_stime  # seconds
                channel, verdict = self._talks.pop(pid)
                _tell(verdict, {"status": code, "cpu": cpu})
                _end(channel, verdict)

    def _kill_orphans(self) -> None:
        """Kill what children that have ended had forked, where the kernel let them."""
        while orphans := _children() - self._talks.keys():
            for pid in orphans:
                os.kill(pid, signal.SIGKILL)
            for pid in orphans:
                os.waitpid(pid, 0)


def _children() -> set[int]:
    with suppress(OSError), open("/proc/thread-self/children") as pids:
        return set(map(int, pids.read().split()))
    return set()


def _tell(verdict: int, what: dict[str, object]) -> None:
    with suppress(OSError):  # the client may have hung up
        os.write(verdict, json.dumps(what).encode())


def _end(channel: socket.socket, verdict: int) -> None:
    channel.close()
    os.close(verdict)
