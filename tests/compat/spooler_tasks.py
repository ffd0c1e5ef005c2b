"""Functions as projects write them for uWSGI's spooler."""

import django

from dbqueue.compat import uwsgi
from dbqueue.compat.uwsgidecorators import (
    harakiri,
    lock,
    mulefunc,
    spool,
    spoolforever,
    spoolraw,
)

django.setup()  # as tutorials have it; it is set up already

seen = []
answers = []


@spool
def note(args):
    seen.append(args)


@spool()
def failing(args):
    seen.append(args)
    raise RuntimeError("always")


@spool(pass_arguments=True)
def add(a, b=1, *more, **named):
    seen.append((a, b, more, named))
    return "ignored"


@spoolraw
def raw(args):
    seen.append(args)
    return answers.pop(0) if answers else uwsgi.SPOOL_OK


@spoolforever
def forever(args):
    seen.append(args)
    if answers:
        raise answers.pop(0)


@spoolforever(pass_arguments=True)
def forever_with(a):
    seen.append(a)


@spool
@harakiri(30)
def limited_inside(args):
    seen.append(args)


@harakiri(30)
@spool
def limited_outside(args):
    seen.append(args)


@spool
@lock
def locked(args):
    seen.append(uwsgi.is_locked())


@spool
async def asynchronous(args):
    seen.append(args["k"])


@mulefunc
def on_mule(a, at=None):
    seen.append((a, at))


@mulefunc(2)
def on_mule_2():
    seen.append("2")


@mulefunc("painters")
def on_farm():
    seen.append("farm")


@spool
def where(args):
    seen.append(uwsgi.i_am_the_spooler())
