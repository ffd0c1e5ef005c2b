"""Wrong arguments are noticed where they are written, not in the worker."""

import functools

import pytest
from asgiref.sync import async_to_sync

from dbqueue import enqueue, enqueue_many
from dbqueue.exceptions import InvalidPayload, WrongArguments
from dbqueue.models import Job
from dbqueue.tasks import payload, signatures
from dbqueue.tasks.registry import as_task
from dbqueue.tasks.task import unchecked
from tests import tasks

pytestmark = pytest.mark.django_db

CALLS = [
    lambda *args, **kwargs: enqueue(tasks.add, *args, **kwargs),
    lambda *args, **kwargs: enqueue("tests.tasks.add", *args, **kwargs),
    lambda *args, **kwargs: enqueue(tasks.plain, *args, **kwargs),
    lambda *args, **kwargs: tasks.add.enqueue(*args, **kwargs),
    lambda *args, **kwargs: tasks.add.using(priority=3).enqueue(*args, **kwargs),
    lambda *args, **kwargs: enqueue_many(tasks.add, [(1, 2), kwargs or args]),
    lambda *args, **kwargs: async_to_sync(tasks.add.aenqueue)(*args, **kwargs),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((1,), {}, "missing a required argument: 'b'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((), {"a": 1, "b": 2, "c": 3}, "unexpected keyword argument 'c'"),
    ],
)
def test_wrong_arguments_are_refused_by_every_way_to_enqueue(call, args, kwargs, words):
    for _ in range(2):  # the second time, too
        with pytest.raises(WrongArguments, match=words) as raised:
            call(*args, **kwargs)

    assert "It takes (a, b)." in str(raised.value)
    assert isinstance(raised.value, TypeError)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "name", ["DatabaseBackend", "ImmediateBackend", "RecordingBackend"]
)
def test_wrong_arguments_are_refused_by_every_backend(settings, name):
    home = "backend" if name == "DatabaseBackend" else "testing"
    entry = {"BACKEND": f"dbqueue.{home}.{name}", "QUEUES": []}
    settings.TASKS = {"default": entry}

    with pytest.raises(WrongArguments):
        tasks.add.enqueue(1)
    with pytest.raises(WrongArguments):
        enqueue_many(tasks.add, [{"c": 1}])
    with pytest.raises(WrongArguments):
        tasks.send_typed.enqueue(other=1)


def test_wrong_arguments_of_a_task_with_context_are_counted_without_it():
    with pytest.raises(
        WrongArguments, match=r"takes \(context, attempt\), the context"
    ):
        tasks.succeed_at.enqueue()
    with pytest.raises(WrongArguments, match="multiple values for argument 'context'"):
        tasks.succeed_at.enqueue(1, context=2)

    tasks.succeed_at.enqueue(1)


def test_a_name_that_json_cannot_keep_is_told_as_before():
    with pytest.raises(InvalidPayload, match="has the key 1"):
        enqueue_many(tasks.add, [{1: 2}])


def accepts(function, *args, **kwargs):
    task = unchecked(func=function)
    try:
        payload.call(task, args, kwargs)
    except WrongArguments:
        return False
    return True


def defaults(a, /, b=1, *rest, c, d=2, **more): ...


def with_types(a: "Unknown", b: "Nowhere" = 1): ...  # noqa: F821


def injecting(function):
    """Give the function one argument more than it is called with."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function("own", *args, **kwargs)

    return wrapper


@injecting
def injected(own, a): ...


def claims(a): ...


claims.__signature__ = "wrong"


def test_every_kind_of_parameter_is_understood():
    assert accepts(defaults, 1, c=3)
    assert accepts(defaults, 1, 2, 3, 4, c=3, e=5)
    assert not accepts(defaults, 1)
    assert not accepts(defaults, c=1)
    assert accepts(with_types, 1)
    assert not accepts(with_types, 1, 2, 3)


def test_a_wrapper_is_asked_and_not_what_it_wraps():
    assert accepts(injected, 1)
    assert accepts(injected, 1, 2)  # which the job will find out
    assert accepts(claims, 1)
    assert not accepts(claims)


def test_shapes_that_fit_are_remembered_and_not_without_end(monkeypatch):
    monkeypatch.setattr(signatures, "_MOST", 5)
    signatures.accepted.clear()

    for number in range(20):
        payload.call(as_task(tasks.noop), (), {f"name{number}": 1})

    assert 0 < len(signatures.accepted) <= 5
    signatures.accepted.clear()
