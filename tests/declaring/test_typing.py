"""What mypy knows of a project's tasks: their arguments, and what their jobs return."""

import re

import pytest

from tests.support.processes import ROOT

# Each line that ends in `# is T` reveals that type; each that ends in `# wrong` is
# flagged; no other is.
USER_CODE = """
from datetime import timedelta

from django.tasks import task as django_task

from dbqueue import JobContext, JobResult, aenqueue, enqueue, enqueue_many, task


@task
def send(a: int, b: str = "") -> int:
    return a


@task(queue_name="mail", max_attempts=3)
def mail(a: int) -> str:
    return ""


@task(takes_context=True)
def tell(context: JobContext, a: int) -> None: ...


@task(timeout=3)
async def wait(a: int) -> int:
    return a


@task(takes_context=True)
async def wait_and_tell(context: JobContext, a: int) -> bool:
    return True


def plain(a: int) -> bool:
    return True


@django_task
def theirs(a: int) -> bytes:
    return b""


later = send.using(run_after=timedelta(1))

reveal_type(send.enqueue(1))  # is dbqueue.tasks.results.JobResult[int]
reveal_type(send.enqueue(1, b="x").return_value)  # is int
reveal_type(send.enqueue(1).state)  # is str
reveal_type(mail.enqueue(a=1).progress)  # is dbqueue.tasks.results.Progress | None
reveal_type(tell.enqueue(1).attempt)  # is int
reveal_type(wait.enqueue(1).return_value)  # is int
reveal_type(wait_and_tell.enqueue(1).return_value)  # is bool
reveal_type(later.enqueue(1).return_value)  # is int
reveal_type(later.get_result("id").state)  # is str
reveal_type(enqueue(send, 1).return_value)  # is int
reveal_type(enqueue(later, 1).return_value)  # is int
reveal_type(enqueue(wait, 1).return_value)  # is int
reveal_type(enqueue(plain, 1).return_value)  # is bool
reveal_type(enqueue(theirs, 1).return_value)  # is bytes
reveal_type(enqueue("a.path", 1).state)  # is str
reveal_type(enqueue_many(send, [(1,)])[0].return_value)  # is int
reveal_type(send.call(1))  # is int
any_result: JobResult = send.enqueue(1)
result: JobResult[int] = send.enqueue(1)

send.enqueue("x")  # wrong
send.enqueue()  # wrong
mail.enqueue("x")  # wrong
tell.enqueue("x")  # wrong
tell.enqueue()  # wrong
wait.enqueue("x")  # wrong
wait_and_tell.enqueue("x")  # wrong
later.enqueue("x")  # wrong
enqueue(send, "x")  # wrong
enqueue(later, "x")  # wrong
enqueue(tell, "x")  # wrong
enqueue(plain, "x")  # wrong
enqueue(theirs, "x")  # wrong
enqueue_many(1, [])  # wrong
send.using(priorty=1)  # wrong
task(max_attemps=3)  # wrong
task(takes_context=True)(plain)  # wrong
other: JobResult[str] = send.enqueue(1)  # wrong


async def view() -> None:
    reveal_type(await send.aenqueue(1))  # is dbqueue.tasks.results.JobResult[int]
    reveal_type((await aenqueue(wait, 1)).return_value)  # is int
    await send.aenqueue("x")  # wrong
    await aenqueue(send, "x")  # wrong
"""


def test_mypy_knows_the_arguments_and_the_results_of_tasks(tmp_path, monkeypatch):
    mypy = pytest.importorskip("mypy.api")
    pytest.importorskip("mypy_django_plugin", reason="no django-stubs")
    file = tmp_path / "user_code.py"
    file.write_text(USER_CODE)
    monkeypatch.setenv("MYPYPATH", str(ROOT))

    said, trouble, _ = mypy.run(
        ["--strict", "--config-file=", "--follow-imports=silent", str(file)]
    )

    assert not trouble
    assert wrong(said) == marked("# wrong")
    assert revealed(said) == marked("# is (.*)")


def marked(pattern):
    """Return what the marks on the lines of the code say, by line number."""
    lines = enumerate(USER_CODE.splitlines(), 1)
    found = {number: re.search(f"{pattern}$", line) for number, line in lines}
    return {
        number: match[match.lastindex or 0] for number, match in found.items() if match
    }


def wrong(said):
    lines = re.findall(r":(\d+): error: ", said)
    return {int(number): "# wrong" for number in lines}


def revealed(said):
    types = re.findall(r':(\d+): note: Revealed type is "(.*)"', said)
    return {int(number): text for number, text in types}
