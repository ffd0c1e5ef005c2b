"""What the kernel forbids a decoder, before it sees a byte.

Only the limits are certain. The other layers depend on the system: Linux, a recent
kernel, root.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import PIL

from dbqueue.imaging.child import seccomp
from dbqueue.imaging.order import Limits

# From <linux/prctl.h>, <linux/sched.h>, <linux/capability.h>, <linux/landlock.h>.
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_CLONE_NEWNET = 0x40000000
_CAPABILITY_VERSION_3 = 0x20080522
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_VERSION = _PATH_BENEATH = 1
# What the first, second, … version of Landlock can forbid, the last for all later ones:
# with files, with TCP, with the signals and sockets of others.
_RIGHTS = (
    (0x1FFF, 0x3FFF, 0x7FFF, 0x7FFF, 0xFFFF),
    (0, 0, 0, 0x3),
    (0, 0, 0, 0, 0, 0x3),
)
_READ = 1 << 2 | 1 << 3  # a file, a list of files
# Besides: write, make and truncate a file.
_IN_THE_FOLDER = _READ | 1 << 1 | 1 << 8 | 1 << 14

_LIKELY = 512 * 1024**2  # bytes

_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the given parent ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Have the processes that children leave behind become children of this one."""
    with suppress(OSError):
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


class Confined(NamedTuple):
    """How a process is confined: the layers that this system has, by their names."""

    layers: list[str]
    # Whether it may have the memory of its limits, or less, as of a stricter parent.
    has_its_memory: bool


def confine(limits: Limits, keep: Collection[int]) -> Confined:
    """Give up what a decoder does not need; there is no way back.

    `keep` are the open files it needs. The current folder stays writable.
    """
    # Later there is no way to /proc.
    space = _mapped()
    with suppress(OSError):
        # Where memory is short, Linux kills the highest score: this and not the worker.
        Path("/proc/self/oom_score_adj").write_text("1000")
    _close_all_but(keep)
    os.environ.clear()
    layers = list(_given_up()) if sys.platform == "linux" else []
    return Confined(layers, _limit(limits, space))


def _given_up() -> Iterator[str]:
    for layer, give_up in (
        ("network namespace", _unshare_network),
        ("no capabilities", _drop_privileges),
        ("Landlock", _see_only_this_folder),
        ("seccomp", seccomp.install),
    ):
        with suppress(OSError):
            give_up()
            yield layer


def _mapped() -> int:
    """Return the bytes of address space that this process has; where no /proc tells,
    what it is likely to have.
    """
    with suppress(OSError):
        pages = Path("/proc/self/statm").read_text().split()[0]
        return int(pages) * resource.getpagesize()
    return _LIKELY


def _close_all_but(keep: Collection[int]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    start = 3
    for descriptor in sorted(keep):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, max(start, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))


def _limit(limits: Limits, space: int) -> bool:
    """Set the limits, or what was set more strictly; return if memory was not."""
    has_its_memory = True
    wanted = {
        # The kernel sends XCPU at the first, and KILL at the second.
        resource.RLIMIT_CPU: (limits.cpu_seconds, limits.cpu_seconds + 1),
        resource.RLIMIT_FSIZE: (limits.output_bytes, limits.output_bytes),
        resource.RLIMIT_NOFILE: (limits.open_files, limits.open_files),
        resource.RLIMIT_CORE: (0, 0),
    }
    if sys.platform == "linux":  # elsewhere, this limit is refused, or ignored
        wanted[resource.RLIMIT_AS] = (space + limits.memory, space + limits.memory)
    for limit, (soft, hard) in wanted.items():
        most = resource.getrlimit(limit)[1]
        if most != resource.RLIM_INFINITY:
            has_its_memory &= limit != resource.RLIMIT_AS or soft <= most
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(limit, (soft, hard))
    return has_its_memory


def _unshare_network() -> None:
    _call("unshare", _CLONE_NEWNET)  # which is root's right


def _drop_privileges() -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _call("capset", header, bytes(24))  # none effective, permitted, inheritable


def _see_only_this_folder() -> None:
    version = _syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    files, tcp, scopes = (rights[:version][-1] for rights in _RIGHTS)
    attributes = struct.pack("QQQ", files, tcp, scopes)
    # An older kernel expects a shorter structure.
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _syscall(_LANDLOCK_CREATE_RULESET, attributes, size, 0)
    _allow(rules, ".", _IN_THE_FOLDER & files)
    for package in (os, PIL):  # some modules are imported on the first use
        _allow(rules, os.path.dirname(str(package.__file__)), _READ)
    _syscall(_LANDLOCK_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _allow(rules: int, folder: str, rights: int) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    here = struct.pack("=Qi", rights, descriptor)
    _syscall(_LANDLOCK_ADD_RULE, rules, _PATH_BENEATH, here, 0)
    os.close(descriptor)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        _call("prctl", option, ctypes.c_ulong(value), *(ctypes.c_ulong(0),) * 3)


def _syscall(number: int, *arguments: Any) -> int:
    return _call("syscall", ctypes.c_long(number), *arguments)


def _call(name: str, *arguments: Any) -> int:
    result = getattr(_LIBC, name)(*arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return int(result)
