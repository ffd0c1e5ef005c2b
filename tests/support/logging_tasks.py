"""Tasks that log, for tests/logs."""

import logging

from asgiref.sync import sync_to_async

from dbqueue import Retry, task

logger = logging.getLogger("shop.mail")
alone = logging.getLogger("shop.alone")
alone.propagate = False


@task(keep_logs="DEBUG", max_attempts=2, backoff=0)
def say(text, *, fail=False, level="INFO"):
    logger.log(logging.getLevelName(level), "Sent %s", text)
    if fail:
        raise ValueError(text)
    return text


@task(keep_logs=True)
async def asay(text):
    logger.info("Async %s", text)
    logger.debug("too low")
    await sync_to_async(logger.info)("In a thread %s", text)


@task(keep_logs=True, atomic=True, max_attempts=1)
def say_in_a_transaction(text, *, fail=False):
    logger.info("Atomic %s", text)
    if fail:
        raise ValueError(text)


@task(keep_logs="WARNING", max_attempts=1)
def say_much(lines, length=10):
    for n in range(lines):
        logger.warning("%05d %s", n, "x" * length)


@task(keep_logs=True)
def say_strange():
    make = logging.getLogRecordFactory()  # the tests' own handlers would raise
    for message, given in (("NUL \x00 and \ud800", ()), ("%d does not fit", ("this",))):
        make("shop.mail", logging.INFO, __file__, 1, message, given, None)
    alone.info("not propagated")
    try:
        raise KeyError("inner")
    except KeyError:
        logger.exception("It failed")


@task(keep_logs=True, max_attempts=1)
def say_and_come_again(times):
    logger.info("again")
    raise Retry(0)


@task
def say_nothing_of_it(text):
    logger.info("Unkept %s", text)
