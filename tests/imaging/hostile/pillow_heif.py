"""A plug-in of Pillow that has been taken over, in the place of one that the sandbox
loads: what it does in the real child to each PNG is said by attack.json beside it.

It knows more than an attacker could: every process, file and address that is worth it.
"""

import ctypes
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import stat
import struct
import sys
import threading
from contextlib import suppress
from pathlib import Path

from PIL import Image

KNOWN = json.loads((Path(__file__).parent / "attack.json").read_text())
PICTURE = (Path(__file__).parent / "picture.png").read_bytes()
X86 = os.uname().machine == "x86_64"
LIBC = ctypes.CDLL(None, use_errno=True)


def register_heif_opener():
    _, accept = Image.OPEN["PNG"]
    Image.register_open("PNG", lambda *_: ATTACKS[KNOWN["attack"]](), accept)


# What may be tried one after the other


def syscall(number, *arguments):
    if not X86 or LIBC.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "syscall")


def connect(kind, address, how=socket.SOCK_STREAM):
    with socket.socket(kind, how) as ours:
        ours.settimeout(1)
        ours.connect(address)


def send_datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.sendto(b".", ("127.0.0.1", KNOWN["udp"]))


def hand_a_file_on():
    with socket.socket(fileno=os.dup(ours("channel"))) as channel:
        socket.send_fds(channel, [b"."], [ours("source")])


def fork():
    if not os.fork():
        os._exit(0)


def write_file(path, mode="w"):
    with open(path, mode) as file:
        file.write("changed")


def look(path):
    if not Path(path).read_bytes():
        raise OSError


def ours(what):
    """Return the descriptor that this child has been left: a socket, or a file."""
    for descriptor in range(3, 32):
        with suppress(OSError):
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISSOCK(mode) if what == "channel" else stat.S_ISREG(mode):
                return descriptor
    raise OSError(f"no {what}")


def others():
    """Return what each other process that matters is called, with its pid."""
    return {"zygote": os.getppid(), **KNOWN["pids"]}


def tries():
    secret, folder = KNOWN["secret"], KNOWN["folder"]
    yield "connect by TCP", lambda: connect(socket.AF_INET, ("127.0.0.1", KNOWN["tcp"]))
    yield "connect by IPv6", lambda: connect(socket.AF_INET6, ("::1", KNOWN["tcp"]))
    yield "connect to a path", lambda: connect(socket.AF_UNIX, KNOWN["path"])
    yield "connect to a name", lambda: connect(socket.AF_UNIX, "\0" + KNOWN["name"])
    yield "send a datagram", send_datagram
    yield "listen", lambda: socket.create_server(("127.0.0.1", 0))
    yield "ask the kernel by netlink", lambda: socket.socket(16, socket.SOCK_RAW, 0)
    yield "make a pair of sockets", socket.socketpair
    yield "hand a file on", hand_a_file_on
    yield "fork", fork
    yield "fork by vfork", lambda: syscall(58)
    yield "fork by clone", lambda: syscall(56, signal.SIGCHLD, 0, 0, 0, 0)
    yield "fork by clone3", lambda: syscall(435, bytes(64), 64)
    yield "fork by the calls of x32", lambda: syscall(0x40000000 + 57)
    yield "spawn", lambda: os.posix_spawn("/bin/true", ["true"], {})
    yield "become a program", lambda: os.execv("/bin/true", ["true"])
    yield "become a program by execveat", lambda: syscall(322, -100, b"/bin/true")
    yield "leave the session", os.setsid
    yield "leave the group", lambda: os.setpgid(0, 0)
    yield "outlive the parent", lambda: prctl(1, 0)
    yield "be another user", lambda: os.setresuid(65534, 65534, 65534)
    yield "be another group", lambda: os.setgroups([])
    yield "have a namespace of its own", lambda: syscall(272, 0x10000000)
    for name, pid in others().items():
        yield f"see that the {name} is there", lambda pid=pid: os.kill(pid, 0)
        yield f"stop the {name} by tgkill", lambda pid=pid: syscall(234, pid, pid, 0)
        yield f"hold the {name}", lambda pid=pid: os.pidfd_open(pid)
        yield (
            f"trace the {name}",
            lambda pid=pid: syscall(101, 0x4206, pid, None, None),
        )
        yield f"read the memory of the {name}", lambda pid=pid: read_memory(pid)
        yield (
            f"see the limits of the {name}",
            lambda pid=pid: resource.prlimit(pid, resource.RLIMIT_CPU),
        )
        yield (
            f"slow the {name} down",
            lambda pid=pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
        )
        yield (
            f"have the {name} signalled by a file",
            lambda pid=pid: fcntl.fcntl(ours("channel"), fcntl.F_SETOWN, pid),
        )
        for file in ("mem", "environ", "cmdline", "maps", "fd"):
            path = f"/proc/{pid}/{file}"
            yield f"read the {file} of the {name}", lambda path=path: look(path)
        yield (
            f"enter the {name}'s root",
            lambda pid=pid: os.listdir(f"/proc/{pid}/root"),
        )
    yield "kill everybody", lambda: os.kill(-1, 0)
    yield (
        "raise its own limits",
        lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (10_000, 10_000)),
    )
    yield "read a secret", lambda: look(secret)
    yield "read a secret by a way around", lambda: look("../" * 20 + secret)
    yield "read the users of the machine", lambda: look("/etc/passwd")
    yield "list the folder above", lambda: os.listdir("..")
    yield "list the root", lambda: os.listdir("/")
    yield "see the environment", lambda: os.environ["HOME"]
    yield "write to a secret", lambda: write_file(secret)
    yield "add to a secret", lambda: write_file(secret, "a")
    yield "cut a secret", lambda: os.truncate(secret, 0)
    yield "make a file elsewhere", lambda: write_file(f"{folder}/new")
    yield "make a folder elsewhere", lambda: os.mkdir(f"{folder}/sub")
    yield "delete a file", lambda: os.unlink(secret)
    yield "move a file here", lambda: os.rename(secret, "mine")
    yield "link to a secret", lambda: os.link(secret, "mine")
    yield "point to a secret", lambda: os.symlink(secret, "mine")
    yield "change a mode", lambda: os.chmod(secret, 0o777)
    yield "change an owner", lambda: os.chown(secret, 65534, 65534)
    yield "change a time", lambda: os.utime(secret)
    yield "make a pipe in the folder", lambda: os.mkfifo("fifo")
    yield "write to the source", lambda: os.pwrite(ours("source"), b"x", 0)
    yield "cut the source", lambda: os.ftruncate(ours("source"), 0)
    yield (
        "open the source to write",
        lambda: os.open(f"/proc/self/fd/{ours('source')}", os.O_WRONLY),
    )
    yield "use io_uring", lambda: syscall(425, 1, bytes(120))
    yield "use bpf", lambda: syscall(321, 0, bytes(120), 120)
    yield "have memory without a file", lambda: os.memfd_create("x")
    yield "mount", lambda: syscall(165, b"none", b"/tmp", b"tmpfs", 0, None)


def prctl(option, value):
    if LIBC.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def read_memory(pid):
    buffer = ctypes.create_string_buffer(1)
    there = struct.pack("QQ", ctypes.addressof(buffer), 1)
    syscall(310, pid, there, 1, there, 1, 0)


def succeeds(attempt):
    try:
        attempt()
    except (OSError, KeyError, ValueError):
        return False
    return True


# The attacks


def try_everything():
    done = [name for name, attempt in tries() if succeeds(attempt)]
    tell({"failed": json.dumps(done)})
    os._exit(0)


def linger():
    """Stay for ever, deaf to whatever can be ignored."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=signal.pause).start()
    while True:
        signal.pause()


def change_it_after_the_answer():
    """Say that all is done and over, hang up, and go on writing to the picture."""
    Path("0.png").write_bytes(PICTURE)
    file = os.open("0.png", os.O_RDWR)
    view = mmap.mmap(file, 0)
    tell({"pictures": [[96, 64, 1]], "status": 0, "cpu": 0})
    with suppress(OSError):
        socket.socket(fileno=os.dup(ours("channel"))).shutdown(socket.SHUT_RDWR)
    os.close(ours("channel"))
    while True:
        view[8:] = os.urandom(len(view) - 8)
        os.pwrite(file, b"<html>", 0)


def answer_and_leave():
    Path("0.png").write_bytes(PICTURE)
    tell({"pictures": [[96, 64, 1]]})
    os._exit(0)


def tell(line):
    os.write(ours("channel"), json.dumps(line).encode() + b"\n")


ATTACKS = {
    attack.__name__: attack
    for attack in (
        try_everything,
        linger,
        change_it_after_the_answer,
        answer_and_leave,
    )
}

if __name__ == "__main__":
    sys.exit("This is loaded by the sandbox.")
