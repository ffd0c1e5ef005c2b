"""Tasks for worker processes; what they do is counted outside the database."""

import asyncio
import ctypes
import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from threading import get_ident

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.utils import timezone, translation

from dbqueue import Cancel, enqueue, task, time_limit
from dbqueue.signals import job_finished
from dbqueue.tasks.framework import task_finished
from tests.support import messes


def effect(event, key, **more):
    """Append a line to the log of effects; one write, so that lines never mix."""
    line = {"event": event, "key": key, "pid": os.getpid(), "at": time.time(), **more}
    descriptor = os.open(
        os.environ["DBQUEUE_TEST_EFFECTS"], os.O_APPEND | os.O_WRONLY | os.O_CREAT
    )
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


@task
def note(key):
    effect("ended", key)


@task(takes_context=True)
def note_tick(context):
    tick = context.schedule
    effect("ended", f"{tick.name} {tick.scheduled_for.isoformat()}")


@task
def work(key, seconds):
    effect("began", key)
    time.sleep(seconds)
    effect("ended", key)


@task
async def awork(key, seconds):
    effect("began", key)
    await asyncio.sleep(seconds)
    effect("ended", key)


@task(max_attempts=1)
def work_once(key, seconds):
    work.func(key, seconds)


@task
def work_until(key, path):
    """Run until the test lets go of it, by making the file."""
    effect("began", key)
    while not os.path.exists(path):
        time.sleep(0.01)
    effect("ended", key)


@task(takes_context=True)
def work_until_twice(context, key, path):
    """As work_until(); a second attempt waits for a file of its own."""
    again = " again" if context.task_result.attempt > 1 else ""
    work_until.func(key, path + again)


@task(takes_context=True)
def tell_attempt_until(context, key, path):
    while not os.path.exists(path):
        context.set_progress(1, 2, f"attempt {context.task_result.attempt}")
        effect("told", key)
        time.sleep(0.1)
    effect("ended", key)


@task(atomic=True)
def atomic_until(key, path):
    """As work_until(), in a transaction that writes when the test lets go."""
    work_until.func(key, path)
    Group.objects.create(name=f"{key} {os.urandom(8).hex()}")


@task
def work_alone_until(key, path):
    """As work_until(); note which processes that had begun it before still live."""
    begin_alone(key)
    while not os.path.exists(path):
        time.sleep(0.01)
    effect("ended", key)


def begin_alone(key):
    log = Path(os.environ["DBQUEUE_TEST_EFFECTS"])
    lines = log.read_text().splitlines() if log.exists() else []
    before = {line["pid"] for line in map(json.loads, lines) if line["key"] == key}
    effect("began", key, beside=[pid for pid in before if _state(pid) not in "ZX"])


@task
async def awork_until(key, path):
    effect("began", key)
    while not os.path.exists(path):
        await asyncio.sleep(0.01)
    effect("ended", key)


@task(max_attempts=1)
def once_until(key, path):
    work_until.func(key, path)


@task(max_attempts=1)
async def aonce_until(key, path):
    await awork_until.func(key, path)


@task(queue_name="other")
def note_in_other(key):
    effect("ended", key)


@task(backoff=0.5, max_attempts=3)
def fail(key):
    effect("began", key)
    raise ValueError(key)


@task(backoff=3600, max_attempts=3)
def fail_for_long(key):
    fail.func(key)


@task(backoff=0.1, max_attempts=5)
def fail_twice(key, path):
    effect("began", key)
    with open(path, "a") as file:
        file.write("x")
    if os.path.getsize(path) < 3:
        raise ValueError(key)
    effect("ended", key)


@task
def grow(key, mebibytes):
    grown.append(bytearray(os.urandom(1024)) * 1024 * mebibytes)
    effect("ended", key)


grown = []


# The end of the process


@task(max_attempts=2, backoff=0)
def kill_itself(key):
    effect("began", key)
    os.kill(os.getpid(), signal.SIGKILL)


@task(max_attempts=2, backoff=0)
def leave_at_once(key, code):
    effect("began", key)
    os._exit(code)


@task(max_attempts=2, backoff=0)
def crash(key):
    effect("began", key)
    ctypes.string_at(0)


@task(max_attempts=1)
def crash_once(key):
    crash.func(key)


@task(max_attempts=1)
async def acrash_once(key):
    crash.func(key)


@task(max_attempts=1)
def exhaust_memory(key):
    """Take all that the process may have, which is not much more than it has."""
    effect("began", key)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    taken = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**26, limits[1]))
    try:
        hoard = []
        while True:
            hoard.append(bytearray(2**22))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@task(max_attempts=1)
def leave(key):
    effect("began", key)
    sys.exit(key)


@task(max_attempts=1)
async def aleave(key):
    effect("began", key)
    sys.exit(key)


@task(max_attempts=1)
def interrupt(key):
    effect("began", key)
    raise KeyboardInterrupt


# Too long


@task(max_attempts=1, timeout=0.5)
def spin(key):
    effect("began", key)
    while True:
        pass


@task(max_attempts=1, timeout=0.5)
def block(key):
    effect("began", key)
    time.sleep(3600)


@task
def overlap(key, path):
    """Tell whether another job of this task runs now."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        effect("overlapped", key)
    else:
        time.sleep(0.005)
        os.unlink(path)
    effect("ended", key)


@task
def spin_for_ever(key):
    spin.func(key)


@task
def block_for_ever(key):
    block.func(key)


@task
def swallow_for_ever(key):
    swallow.func(key)


@task
async def wait_unlimited(key):
    await wait_for_ever.func(key)


@task
async def ignore_cancellation_unlimited(key):
    await ignore_cancellation.func(key)


@task(takes_context=True)
def ask_whether_cancelled(context, key):
    effect("began", key)
    while not context.cancelled:
        time.sleep(0.01)
    effect("ended", key)
    return "a part"


@task(takes_context=True)
async def await_cancelled(context, key):
    effect("began", key)
    while not context.cancelled:
        await asyncio.sleep(0.01)
    effect("ended", key)


@task(takes_context=True)
def never_ask(context, key):
    spin.func(key)


@task
def clean_up_when_cancelled(key):
    try:
        spin.func(key)
    except Cancel:
        effect("cleaned", key)
        raise


@task(max_attempts=1, timeout=0.5)
def hold_the_gil(key):
    effect("began", key)
    re.match(r"(a+)+$", "a" * 64 + "b")


@task
def hold_the_gil_unlimited(key):
    hold_the_gil.func(key)


@task(takes_context=True)
def hold_the_gil_at_first(context, key):
    """As work_alone_until(); the first attempt lets no other thread run, for ever."""
    begin_alone(key)
    if context.task_result.attempt == 1:
        re.match(r"(a+)+$", "a" * 64 + "b")
    effect("ended", key)


@task(max_attempts=1, timeout=0.5)
def swallow(key):
    effect("began", key)
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:
            effect("swallowed", key)


@task(max_attempts=1, timeout=0.5)
async def wait_for_ever(key):
    effect("began", key)
    await asyncio.sleep(3600)


@task(max_attempts=1, timeout=0.5)
async def ignore_cancellation(key):
    effect("began", key)
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            effect("swallowed", key)


@task(max_attempts=1, timeout=0.5)
async def block_the_loop(key):
    effect("began", key)
    time.sleep(3600)


@task(max_attempts=1)
async def block_the_loop_unlimited(key):
    block_the_loop_in_callback(key)


@task(max_attempts=1)
async def block_the_loop_in_subtask(key):
    await asyncio.create_task(block_the_loop_unlimited.func(key))


@task(max_attempts=1)
async def block_the_loop_by_callback(key):
    asyncio.get_running_loop().call_soon(block_the_loop_in_callback, key)
    await asyncio.sleep(3600)


def block_the_loop_in_callback(key):
    effect("began", key)
    time.sleep(3600)


@task(max_attempts=1, timeout=1.0)
async def ain_time(key, path):
    """Wait for the file, then a moment."""
    await awork_until.func(key, path)


@task(max_attempts=1)
def end_its_thread(key):
    """Raise in this thread when the job has ended, as libraries for timeouts may do."""
    effect("began", key)
    raising = ctypes.pythonapi.PyThreadState_SetAsyncExc
    thread = ctypes.c_ulong(get_ident())

    def end():
        raising(thread, ctypes.py_object(SystemExit))
        effect("raised", key)

    threading.Timer(0.3, end).start()
    effect("ended", key)


@task(max_attempts=1)
async def end_its_loop(key):
    effect("began", key)
    asyncio.get_running_loop()._selector.close()
    await asyncio.sleep(0)


@task(max_attempts=1, timeout=2.0)
def in_time(key):
    effect("began", key)
    time.sleep(0.8)
    effect("ended", key)


# A mess


@task
def leave_transaction_open(key):
    transaction.set_autocommit(False)
    Group.objects.create(name=key)
    effect("ended", key)


@task
def begin(key):
    """Begin a transaction of which only the database knows."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
    Group.objects.create(name=key)
    effect("ended", key)


@task
def leave_atomic_open(key):
    transaction.atomic().__enter__()
    Group.objects.create(name=key)
    effect("ended", key)


@task
async def aleave_transaction_open(key):
    await sync_to_async(leave_transaction_open.func)(key)


@task
def close_connection(key):
    Group.objects.exists()
    connection.close()
    effect("ended", key)


@task
def break_connection(key):
    """Close what is below Django's connection, behind its back."""
    connection.ensure_connection()
    connection.connection.close()
    effect("ended", key)


@task(max_attempts=2, backoff=0)
def terminate_backend(key):
    effect("began", key)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@task(max_attempts=2, backoff=0, takes_context=True)
def query_slowly(context, key):
    """Wait for the server at the first attempt: somebody may end the connection."""
    effect("began", key)
    if context.task_result.attempt == 1:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60) /* of a job */")
    effect("ended", key)


@task
def say_to_database(key, statement):
    """Return the first value of the answer, if there is one."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
    effect("ended", key)
    return row and str(row[0])


@task(max_attempts=100, backoff=0.3)
def hold_connection(key, path):
    """Keep a connection until the test lets go, as a job that asks again and again."""
    Group.objects.exists()
    effect("began", key)
    while not os.path.exists(path):
        time.sleep(0.01)
    effect("ended", key)


@task
def ask_until(key, path):
    """Read and write as views do, and then run on until the test lets go."""
    Group.objects.create(name=f"{key} {os.urandom(8).hex()}")
    with transaction.atomic():
        Group.objects.select_for_update().filter(name=key).first()
    Group.objects.count()
    work_until.func(key, path)


@task
async def aask_until(key, path):
    await Group.objects.acreate(name=f"{key} {os.urandom(8).hex()}")
    await Group.objects.acount()
    await awork_until.func(key, path)


@task(atomic=True, max_attempts=1)
def enqueue_and_fail(key):
    """Enqueue in the transaction that is rolled back with this job."""
    for how in (note, note.using(run_after=timezone.now())):
        effect("rolled back", enqueue(how, f"of {key}").id)
    raise ValueError(key)


@task(atomic=True, max_attempts=1)
def enqueue_and_commit(key):
    enqueue(note, f"of {key}")
    effect("ended", key)


@task(max_attempts=1, takes_context=True)
def enqueue_and_fail_to_finish(context, key):
    with context.finishing():
        effect("rolled back", enqueue(note, f"of {key}").id)
        raise ValueError(key)


@task(atomic=True, max_attempts=2, backoff=0)
def enqueue_and_die(key):
    effect("rolled back", enqueue(note, f"of {key}").id)
    os.kill(os.getpid(), signal.SIGKILL)


@task
def go_abroad(key):
    translation.activate("fr")
    timezone.activate("Pacific/Chatham")
    effect("ended", key)


@task
def describe_surroundings(key):
    """Write a row and tell in which state this job found its thread."""
    Group.objects.create(name=key)
    effect(
        "ended",
        key,
        thread=get_ident(),
        language=translation.get_language(),
        zone=timezone.get_current_timezone_name(),
        autocommit=transaction.get_autocommit(),
        in_atomic_block=connection.in_atomic_block,
    )


@task
async def adescribe_surroundings(key):
    await sync_to_async(describe_surroundings.func)(key)


# Rows


@task(atomic=True)
def write_atomically(key, path):
    effect("began", key)
    Group.objects.create(name=f"{key} {os.urandom(8).hex()}")
    effect("written", key)
    while not os.path.exists(path):
        time.sleep(0.01)
    effect("ended", key)


@task(atomic=True)
def write_atomically_quickly(key):
    Group.objects.create(name=f"{key} {os.urandom(8).hex()}")
    effect("ended", key)


@task(takes_context=True)
def write_and_finish(context, key):
    with context.finishing():
        Group.objects.create(name=f"{key} {os.urandom(8).hex()}")
        effect("ended", key)


# Its own connection may fall silent, and nothing but its timeout ends that.
@task(atomic=True, backoff=0.1, max_attempts=30, timeout=20.0)
def write_atomically_again(key):
    Group.objects.create(name=key)
    effect("ended", key)


@task(atomic=True, takes_context=True)
def freeze_before_commit(context, key):
    """Have the process stand still between this job's end and its commit, once."""
    Group.objects.create(name=key)
    effect("began", key)
    if context.task_result.attempt == 1:
        connection.execute_wrappers.append(_freeze_behind_the_end)
    effect("ended", key)


def _freeze_behind_the_end(execute, sql, params, many, context):
    result = execute(sql, params, many, context)
    if "INSERT INTO dbqueue_finishedjob" in sql:
        signal.pthread_kill(get_ident(), signal.SIGSTOP)  # at once: it is this thread
    return result


@task
def breed(key, generations):
    for i in range(2 if generations else 0):
        enqueue(breed, f"{key}{i}", generations - 1)
    effect("ended", key)


@task(takes_context=True)
def tell_nonsense(context, key):
    """Say again and again what Postgres keeps in no text column."""
    for _ in range(10):
        context.set_progress(1, 2, "NUL \x00 and half a character \ud800")
        time.sleep(0.1)
    effect("ended", key)


@task(takes_context=True)
def tell_progress(context, key, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        context.set_progress(1, 2, key)
    effect("ended", key)


# Code of the project that runs around the function


def _exit_at_rude_jobs(sender, task_result, **kwargs):
    if task_result.task.module_path == exit_in_receiver.module_path:
        sys.exit("in a receiver")


task_finished.connect(_exit_at_rude_jobs)


def _exit_at_rude_events(event, **kwargs):
    if event.task == exit_in_event_receiver.module_path:
        sys.exit("in a receiver of dbqueue's own signal")


job_finished.connect(_exit_at_rude_events)


@task(max_attempts=1)
def exit_in_event_receiver(key):
    effect("began", key)
    effect("ended", key)


@task(max_attempts=1)
def exit_in_receiver(key):
    effect("began", key)
    effect("ended", key)


def _exit_instead_of_waiting(exception, task_result):
    sys.exit("in a backoff")


@task(max_attempts=2, backoff=_exit_instead_of_waiting)
def exit_in_backoff(key):
    effect("began", key)
    raise ValueError(key)


# Programs


SLEEP = ["sleep", "3600"]


@task(max_attempts=1)
def stop_program(key, number):
    """Return the exit code of a program that a signal is sent to."""
    effect("ended", key)
    command = ["sh", "-c", "echo; exec sleep 3600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.read(1)  # it listens
        process.send_signal(number)
        return process.wait(60)


@task(max_attempts=1)
async def astop_program(key, number):
    effect("ended", key)
    process = await asyncio.create_subprocess_exec(*SLEEP)
    process.send_signal(number)
    return await process.wait()


@task(max_attempts=1)
def stop_process(key, method):
    """Return the exit code of a process that is terminated as soon as it is there."""
    effect("ended", key)
    process = multiprocessing.get_context(method).Process(
        target=time.sleep, args=[3600]
    )
    process.start()
    process.terminate()
    process.join(60)
    return process.exitcode


@task(max_attempts=1)
def leave_busy_pool(key, method):
    effect("ended", key)
    with multiprocessing.get_context(method).Pool(2) as pool:
        pool.apply_async(time.sleep, [3600])


@task(max_attempts=1)
def stop_in_debugger(key):
    effect("ended", key)
    breakpoint()


# Each notes its pid before it sleeps.
PROGRAMS = {
    "a program": 'echo $$ >> "$0"; exec sleep 3600',
    "a program of a program": 'echo $$ >> "$0"; (sleep 3600); exit',
    "an orphan": '(sh -c \'echo $$ >> "$0"; exec sleep 3600\' "$0" &); sleep 3600',
}


def _command(kind, path):
    return ["sh", "-c", PROGRAMS[kind], path]


@task(max_attempts=2, timeout=0.5, backoff=0)
def run_program(key, kind, path):
    effect("began", key, alive=alive(path))
    subprocess.run(_command(kind, path))


@task(max_attempts=2, timeout=0.5, backoff=0)
async def arun_program(key, kind, path):
    effect("began", key, alive=alive(path))
    process = await asyncio.create_subprocess_exec(*_command(kind, path))
    await process.wait()


@task(max_attempts=2, timeout=0.5, backoff=0)
async def arun_program_in_thread(key, kind, path):
    effect("began", key, alive=alive(path))
    await asyncio.to_thread(subprocess.run, _command(kind, path))


@task(max_attempts=2, backoff=0)
def start_program(key, path, leave, how):
    """Start a program and run on until the test lets go."""
    effect("began", key, alive=alive(path))
    subprocess.Popen(**{"args": _command("a program", path)} | how)
    while not os.path.exists(leave):
        time.sleep(0.01)
    effect("ended", key)


@task(max_attempts=1)
async def astart_program(key, path, leave):
    effect("began", key)
    await asyncio.create_subprocess_exec(*_command("a program", path))
    while not os.path.exists(leave):
        await asyncio.sleep(0.01)
    effect("ended", key)


def alive(path):
    """Return the pids that are in the file, of programs that still run."""
    pids = Path(path).read_text().split() if os.path.exists(path) else []
    return [pid for pid in pids if _state(pid) not in "ZX"]


def _state(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return stat.rpartition(b")")[2].decode().split()[0]
    except OSError:
        return "X"


# What a job leaves on its connection


@task(max_attempts=1)
def make_mess(key, name):
    """Do one of the messes by its name."""
    (messes.messes() | messes.SQLITE_DRIVER)[name]()
    effect("ended", key)


@task(max_attempts=1)
def look_at_session(key):
    seen = messes.look()
    effect("ended", key)
    return seen


@task(max_attempts=1)
def outlast_a_part(key, seconds):
    effect("began", key)
    try:
        with time_limit(seconds):
            while True:
                time.sleep(0.01)
    finally:
        effect("ended", key)


@task(max_attempts=1)
def keep_to_a_part(key):
    with time_limit(1):
        effect("began", key)
    time.sleep(1.5)  # longer than the part might
    effect("ended", key)
