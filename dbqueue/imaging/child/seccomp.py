"""A filter of system calls: what a decoder never needs, the kernel refuses.

It needs no right and no library: Linux 3.5 or later, on x86-64 or 64-bit ARM, whoever
the user is. What a path may be opened for is Landlock's matter, not this one's.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterator
from errno import ENOSYS, EPERM

# A call's name and its number on x86-64 and on 64-bit ARM, from <asm/unistd.h>.
_REFUSED = """
socket 41 198   socketpair 53 199   connect 42 203   bind 49 200   listen 50 201
accept 43 202   accept4 288 242   sendmsg 46 211   sendmmsg 307 269   recvmsg 47 212
recvmmsg 299 243   fork 57 -   vfork 58 -   execve 59 221   execveat 322 281
kill 62 129   tkill 200 130   rt_sigqueueinfo 129 138   rt_tgsigqueueinfo 297 240
pidfd_open 434 434   pidfd_send_signal 424 424   pidfd_getfd 438 438
ptrace 101 117   process_vm_readv 310 270   process_vm_writev 311 271
process_madvise 440 440   kcmp 312 272   setpriority 141 140
sched_setaffinity 203 122   sched_setscheduler 144 119   sched_setparam 142 118
sched_setattr 314 274   ioprio_set 251 30   setsid 112 157   setpgid 109 154
migrate_pages 256 238   move_pages 279 239   chmod 90 -   fchmod 91 52
fchmodat 268 53   fchmodat2 452 452   chown 92 -   fchown 93 55   lchown 94 -
fchownat 260 54   utime 132 -   utimes 235 -   futimesat 261 -   utimensat 280 88
setxattr 188 5   lsetxattr 189 6   fsetxattr 190 7   removexattr 197 14
lremovexattr 198 15   fremovexattr 199 16   mknod 133 -   mknodat 259 33
symlink 88 -   symlinkat 266 36   link 86 -   linkat 265 37   mount 165 40
umount2 166 39   mount_setattr 442 442   fsopen 430 430   fsconfig 431 431
fsmount 432 432   fspick 433 433   move_mount 429 429   open_tree 428 428
chroot 161 51   pivot_root 155 41   unshare 272 97   setns 308 268
open_by_handle_at 304 265   name_to_handle_at 303 264   quotactl 179 60
quotactl_fd 443 443   swapon 167 224   swapoff 168 225   reboot 169 142
keyctl 250 219   add_key 248 217   request_key 249 218   bpf 321 280
io_uring_setup 425 425   io_uring_enter 426 426   io_uring_register 427 427
userfaultfd 323 282   perf_event_open 298 241   shmget 29 194   shmat 30 196
shmctl 31 195   msgget 68 186   msgsnd 69 189   msgrcv 70 188   msgctl 71 187
semget 64 190   semop 65 193   semctl 66 191   semtimedop 220 192   mq_open 240 180
mq_unlink 241 181   inotify_init 253 -   inotify_init1 294 26
fanotify_init 300 262   fanotify_mark 301 263   kexec_load 246 104
kexec_file_load 320 294   init_module 175 105   finit_module 313 273
delete_module 176 106   personality 135 92   acct 163 89   settimeofday 164 170
clock_settime 227 112   clock_adjtime 305 266   adjtimex 159 171
sethostname 170 161   setdomainname 171 162   syslog 103 116   iopl 172 -
ioperm 173 -   vhangup 153 58   memfd_create 319 279   memfd_secret 447 447
"""
# Calls that are refused only with these values of an argument: its place, the values.
# fcntl and ioctl can have the kernel send any signal to another process; prctl can have
# a process outlive its parent, and be traced.
_REFUSED_WITH = {
    "fcntl": ((72, 25), 1, (8, 10, 15)),  # F_SETOWN, F_SETSIG, F_SETOWN_EX
    "ioctl": ((16, 29), 1, (0x8901, 0x8902)),  # FIOSETOWN, SIOCSPGRP
    "prctl": ((157, 167), 0, (1, 4)),  # PR_SET_PDEATHSIG, PR_SET_DUMPABLE
}
# Calls that are refused if their first argument names another process.
_ITSELF = {"prlimit64": (302, 261), "tgkill": (234, 131)}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_CLONE_THREAD = 0x00010000
_FIRST_UNKNOWN = 463  # numbers of calls that are younger than this list
_X32 = 0x40000000  # on x86-64, the calls of another architecture begin here
# By machine: its place in the tables, and its number in <linux/audit.h>.
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

# From <linux/filter.h> and <linux/seccomp.h>.
_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # bytes into struct seccomp_data
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2

_LIBC = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def install() -> None:
    """Filter the system calls of this process from now on.

    Raises OSError where the kernel has no filters, or the machine is an unknown one.
    A process that may gain no privileges (PR_SET_NO_NEW_PRIVS) may do so.
    """
    machine = platform.machine()
    # A Python of 32 bits has the calls of yet another machine.
    if sys.platform != "linux" or machine not in _MACHINES or sys.maxsize < 2**32:
        raise OSError(ENOSYS, f"No filter of system calls is known for {machine}")
    program = _program(*_MACHINES[machine])
    filter = _Program(len(program) // 8, program)
    if _LIBC.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(filter), 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, f"seccomp: {os.strerror(error)}")


def _program(place: int, architecture: int) -> bytes:
    return b"".join(_instructions(place, architecture))


def _instructions(place: int, architecture: int) -> Iterator[bytes]:
    yield _step(_LOAD, _ARCHITECTURE)
    yield _step(_EQUAL, architecture, skip_if=1)
    yield _step(_RETURN, _KILL)
    yield _step(_LOAD, _NUMBER)
    if place == 0:
        yield _step(_AT_LEAST, _X32, skip_unless=1)
        yield _refuse()
    # glibc knows what to do without a call that is too young, clone3() among them.
    yield _step(_AT_LEAST, _FIRST_UNKNOWN, skip_unless=1)
    yield _refuse(ENOSYS)
    yield _step(_EQUAL, _CLONE3[place], skip_unless=1)
    yield _refuse(ENOSYS)
    for number in _numbers(place):
        yield _step(_EQUAL, number, skip_unless=1)
        yield _refuse()
    yield from _by_arguments(place)
    yield _step(_RETURN, _ALLOW)


def _numbers(place: int) -> Iterator[int]:
    words = iter(_REFUSED.split())
    for _name, *numbers in zip(words, words, words, strict=True):
        if numbers[place] != "-":
            yield int(numbers[place])


def _by_arguments(place: int) -> Iterator[bytes]:
    for numbers, at, values in _REFUSED_WITH.values():
        tests = [_step(_EQUAL, value, skip_unless=1) + _refuse() for value in values]
        yield from _when(numbers[place], at, tests)
    itself = [_step(_EQUAL, 0, skip_if=2), _step(_EQUAL, os.getpid(), skip_if=1)]
    for numbers in _ITSELF.values():
        yield from _when(numbers[place], 0, [*itself, _refuse()])
    threads = [_step(_HAS_BITS, _CLONE_THREAD, skip_if=1), _refuse()]
    yield from _when(_CLONE[place], 0, threads)


def _when(number: int, argument: int, tests: list[bytes]) -> Iterator[bytes]:
    """Yield the tests of an argument, which are skipped for other calls."""
    # Its lower half: these arguments are of 32 bits, and both machines little-endian.
    body = _step(_LOAD, _ARGUMENTS + 8 * argument) + b"".join(tests)
    body += _step(_LOAD, _NUMBER)
    yield _step(_EQUAL, number, skip_unless=len(body) // 8)
    yield body


def _refuse(error: int = EPERM) -> bytes:
    return _step(_RETURN, _ERROR | error)


def _step(code: int, value: int, *, skip_if: int = 0, skip_unless: int = 0) -> bytes:
    return struct.pack("=HBBI", code, skip_if, skip_unless, value)
