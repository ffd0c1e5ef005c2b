"""Whether a task's function can be called with what is enqueued; asked once a shape."""

from collections.abc import Collection, Mapping
from inspect import Signature, isfunction, signature
from types import FunctionType
from typing import Any

from dbqueue.exceptions import WrongArguments

# (function, number of positional arguments, *names of the others); see payload.call().
accepted: set[tuple[Any, ...]] = set()
_MOST = 10_000


def check(task: Any, args: Collection[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise WrongArguments if the task's function cannot be called like this."""
    function = task.func
    shape = (function, len(args) + task.takes_context, *kwargs)
    if shape in accepted:
        return
    if not all(isinstance(name, str) for name in kwargs) or not isfunction(function):
        return  # the first is told by the payload in better words
    own = own_signature(function)
    given = [None, *args] if task.takes_context else args
    try:
        own.bind(*given, **kwargs)
    except TypeError as error:
        raise WrongArguments(
            f"{task.module_path!r} cannot be called with these arguments: {error}. It "
            f"takes {own}{', the context first' if task.takes_context else ''}."
        ) from None
    if len(accepted) >= _MOST:
        accepted.clear()
    accepted.add(shape)


def own_signature(function: FunctionType) -> Signature:
    """Return the function's signature, with no annotations."""
    # Without annotations, which may name what only type checkers import, and not what
    # functools.wraps() tells: a wrapper may add or take away arguments.
    bare = FunctionType(
        function.__code__, {}, None, function.__defaults__, function.__closure__
    )
    bare.__kwdefaults__ = function.__kwdefaults__
    return signature(bare)
