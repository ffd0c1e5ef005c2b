"""Exceptions travel: to another process, and into a copy."""

import copy
import importlib
import inspect
import pickle
import pkgutil

import pytest

import dbqueue
from dbqueue import Retry
from dbqueue.imaging.exceptions import ContentRejected

LEFT_OUT = ("dbqueue.imaging.child.", "dbqueue.management.commands.")


def exceptions():
    """Return every exception class that a module of dbqueue defines."""
    found = set()
    for module in pkgutil.walk_packages(dbqueue.__path__, "dbqueue."):
        if not module.name.startswith(LEFT_OUT):
            for kind in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(kind) and issubclass(kind, BaseException):
                    found.add(kind)
    ours = [kind for kind in found if kind.__module__.startswith("dbqueue")]
    return sorted(ours, key=lambda kind: (kind.__module__, kind.__qualname__))


def make(kind):
    if issubclass(kind, ContentRejected):
        return kind("damaged", "This picture is damaged.")
    return kind("for a reason")


@pytest.mark.parametrize("kind", exceptions(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "travel",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy],
    ids=["pickled", "copied", "deeply copied"],
)
def test_an_exception_is_the_same_after(kind, travel):
    error = make(kind)
    error.add_note("and more")

    arrived = travel(error)

    assert type(arrived) is kind
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


def test_a_retry_keeps_its_delay_when_it_is_pickled():
    assert pickle.loads(pickle.dumps(Retry("later", after=5))).after == 5
