"""Tasks for whom somebody waits."""

from pathlib import Path

from dbqueue import UserVisibleError, task


@task(takes_context=True)
def track(context, rows, total=None, message=""):
    return list(context.track(rows, total, message))


@task(takes_context=True)
def say(context, value, total=None, message=""):
    context.set_progress(value, total, message)


@task(takes_context=True)
def attach(context, name, text, keep=None):
    context.attach(name, text, keep=keep)


@task(takes_context=True)
async def aattach(context, name, text):
    await context.aattach(name, text.encode())


@task(takes_context=True, backoff=0)
def attach_at_each_attempt(context, name):
    context.attach(name, f"attempt {context.attempt}")
    if context.attempt < 3:
        raise ValueError("once more")


@task(takes_context=True)
def attach_path(context, path):
    with Path(path).open("rb") as file:
        context.attach("open.txt", file)
        assert not file.closed
    context.attach("path.txt", Path(path))
    with Path(path).open() as file:
        context.attach("text.txt", file)


class NoRows(UserVisibleError):
    pass


@task(backoff=0)
def refuse(message, retry=False):
    raise NoRows(message, retry=retry)


@task(backoff=0, max_attempts=2)
def fail(message):
    raise ValueError(message)


@task(takes_context=True, backoff=0, max_attempts=3)
def attach_two(context, text):
    context.attach("first.txt", text)
    context.set_progress(1, 2, "The second")
    context.attach("second.txt", text)
