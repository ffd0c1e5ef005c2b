"""Every documented feature of uWSGI's spooler, and of what stands beside it."""

import hashlib
import os
import time

from shop.noting import note

if os.environ["SIDE"] == "uwsgi":
    import uwsgi
    from uwsgidecorators import (
        cron,
        harakiri,
        lock,
        mulefunc,
        postfork,
        rbtimer,
        signal,
        spool,
        spoolforever,
        spoolraw,
        thread,
        timer,
    )
else:
    from dbqueue.compat import uwsgi
    from dbqueue.compat.uwsgidecorators import (
        cron,
        harakiri,
        lock,
        mulefunc,
        postfork,
        rbtimer,
        signal,
        spool,
        spoolforever,
        spoolraw,
        thread,
        timer,
    )

from shop import twin

uwsgi.set_spooler_frequency(1)


@spool
def plain(args):
    told = {k: v for k, v in args.items() if k not in ("at", "spooler_task_name")}
    note("plain", sorted(told.items()), bool(args["spooler_task_name"]))


@spool(pass_arguments=True)
def passing(*args, **kwargs):
    note("passing", repr(args), repr(sorted(kwargs.items())))


@spool
def with_body(args):
    body = args["body"]
    digest = hashlib.sha256(body.encode()).hexdigest()
    note("body", isinstance(body, str), len(body), digest)


@spool
def later(args):
    note("later", args["wanted"])


@spool
def ordered(args):
    note("ordered", args["k"])


@spool
def elsewhere(args):
    note("elsewhere", args["k"])


@spoolraw
def three_times(args):
    runs = os.environ["NOTES"] + ".runs"
    with open(runs, "a") as file:
        file.write("x")
    note("three_times", args["spooler_task_name"])
    done = os.path.getsize(runs) == 3
    return uwsgi.SPOOL_OK if done else uwsgi.SPOOL_RETRY


@spoolraw(pass_arguments=True)
def ignoring(a):
    note("ignoring", a)
    return uwsgi.SPOOL_IGNORE


@spoolforever
def forever(args):
    note("forever", args["k"])


@spool
def failing(args):
    note("failing", args["spooler_task_name"])
    raise RuntimeError("always")


@spool
def long_value(args):
    note("long_value", len(args["k"]))


@spool
def of_two(args):
    note("of_two", "tasks", args["k"])


@spool
def with_bytes(args):
    note("with_bytes", args["body"] == b"\x80\xff")


@spool
def asks(args):
    note("asks", bool(uwsgi.i_am_the_spooler()))


@spool
def limited(args):
    @harakiri(2)
    def too_long():
        time.sleep(60)

    note("limited", args["k"])
    too_long()


@spool
def after_poison(args):
    note("after_poison", args["k"])


@spool
def blocks(args):
    note("blocks", "begins")
    time.sleep(2)
    note("blocks", "ends")


@spool
def follows(args):
    note("follows", args["k"])


@timer(1, target="spooler")
def tick(signum):
    note("tick", isinstance(signum, int))


@rbtimer(1, target="spooler")
def rbtick(signum):
    note("rbtick", isinstance(signum, int))


@cron(-1, -1, -1, -1, -1, target="spooler")
def minutely(signum):
    note("minutely", isinstance(signum, int))


@signal(77, target="spooler")
def signalled(signum):
    note("signalled", signum)


@mulefunc
def on_mule(a, b=1):
    note("on_mule", a, b)


@lock
def locked(a):
    note("locked", a)


@thread
def in_thread(a):
    note("in_thread", a)


@postfork
def forked():
    note("forked")


def begin():
    """Call everything; what the calls answer is noted, too."""
    name = plain(k="v", ünicode="ü")
    note("name", bool(name), isinstance(name, bytes), name.decode() != "")
    plain({"k": b"v"}, more="m")
    plain.spool(k="backward")
    passing(1, "ü", (1, 2), b=[1], c={"d": None}, e=b"\x00")
    passing.spool(at=str(int(time.time())).encode())
    with_body(body="ü".encode() * 500_000)
    soon = str(int(time.time() + 3))
    later(wanted=soon, at=soon)
    elsewhere(k="v", spooler=os.environ["OTHER"])
    three_times(k="v")
    forever(k="v")
    asks({})
    uwsgi.signal(77)
    on_mule(1, b=2)
    locked("here")
    in_thread("here")
    waiting = uwsgi.spooler_jobs()
    note("jobs", len(waiting) > 0)
    task = later(wanted="9e9", at=str(int(time.time() + 3600)))
    found = uwsgi.spooler_get_task(task.decode())
    note("task", found[b"wanted"].decode(), found[b"ud_spool_func"].decode())
    note("nothing", uwsgi.spooler_get_task(task.decode() + "x"))


def repairs():
    """Call what dbqueue does better."""
    of_two(k="1")
    twin.of_two(k="2")
    long_value(k="x" * 70_000)
    with_bytes(body=b"\x80\xff")
    failing(k="v")
    ignoring(1)
    blocks(k="v")
    follows(k="v")


def order():
    blocks(k="v")  # what comes while it runs has to wait, and so can be ordered
    while not has_begun():
        time.sleep(0.02)
    for priority in ("3", "1", "2"):
        ordered(k=priority, priority=priority)


def has_begun():
    with open(os.environ["NOTES"]) as file:
        return '"begins"' in file.read()


def poison():
    limited(k="v")
    time.sleep(0.1)
    after_poison(k="v")


CALLS = {"begin": begin, "repairs": repairs, "order": order, "poison": poison}


def application(environ, start_response):
    CALLS[environ["PATH_INFO"].strip("/")]()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
